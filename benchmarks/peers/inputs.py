"""Models and data that both sides get: as files, since a peer has nothing of this project."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from deltatune.models import random_weights
from deltatune.tokens.encode import encode
from deltatune.tokens.prompts import TEMPLATES, Document
from deltatune.tokens.tokenizer import load_tokenizer
from shapes import MISTRAL_7B, SMOLLM2_135M, tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
WITHOUT_WINDOW = MISTRAL_7B | {"sliding_window": None}
SHAPES = {"7b": WITHOUT_WINDOW, "135m": SMOLLM2_135M, "tiny": tiny(WITHOUT_WINDOW, 2048)}
#: About as many tokens for an English text as a tokenizer of 32,000 pieces makes of texts that it
#: was not trained on.
PIECES = 8000


def write_model(folder: Path, size: str, texts: Iterable[Path]) -> None:
    """A model of random weights with a tokenizer of the texts, where there is none yet."""
    if (folder / "config.json").is_file():
        return
    shape = SHAPES[size]
    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    special = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 3}
    random_weights.write(folder, shape | special, device)
    if device != "cpu":
        torch.cuda.empty_cache()
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(PIECES, shape["vocab_size"]),
        special_tokens=list(names.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(path) for path in texts], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)


def alpaca(path: Path, model: Path, length: int) -> list[dict[str, list[int]]]:
    """Documents with input_ids and completion_mask, of records with instruction, input and
    output."""
    documents = []
    for record in json.loads(path.read_text(encoding="utf-8")):
        fields = {name: record.get(name) or "" for name in ("instruction", "input")}
        template = TEMPLATES["alpaca"]["with_input" if fields["input"] else "without_input"]
        documents.append(Document(template.format(**fields), record["output"]))
    encoded = encode(documents, load_tokenizer(model), length, "truncate")
    pieces = map(encoded.piece, range(len(encoded.sources)))
    return [
        {"input_ids": ids.tolist(), "completion_mask": list(learned)}
        for ids, learned in pieces
        if any(learned)
    ]


def full(count: int, length: int, model: Path) -> list[dict[str, Any]]:
    """Documents of random tokens that fill a row each, all of it trained on."""
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    ids = np.random.default_rng(1).integers(4, vocabulary, (count, length))
    # What stands at the beginning is predicted from nothing.
    mask = [0] + [1] * (length - 1)
    return [{"input_ids": row.tolist(), "completion_mask": mask} for row in ids]
