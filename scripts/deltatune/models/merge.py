"""A tuned system merged into one ordinary 16-bit model, and its KL divergence from the system."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedModel

from deltatune.core.errors import UserError
from deltatune.models import upstream
from deltatune.models.dequantize import dequantize, merge_adapter
from deltatune.models.device import Compute
from deltatune.models.load import load_base
from deltatune.models.quantization import gptq_layers
from deltatune.tokens.answer_ids import stop_id
from deltatune.tokens.encode import encode
from deltatune.tokens.ids import eos_id, pad_id
from deltatune.tokens.overflow import shortening_of
from deltatune.tokens.prompts import Prompt
from deltatune.tokens.settings import TokenizeSettings
from deltatune.tokens.tokenizer import load_tokenizer

#: Nats per token. Rounding to bf16 alone costs 0.0001 to 0.0002 on the default's tiny model,
#: merging into the original 16-bit base instead of the dequantized one 0.02 (docs/using.md).
KL_LIMIT = 1e-3

#: Tokens of test text that the merged model is compared on. Their log-probabilities are all in
#: memory at once: 4 bytes for each token and piece of the vocabulary, 0.3 GB for Mistral's 32,000.
SAMPLE_TOKENS = 2048

#: What of a base's folder goes with the merged model: the tokenizer, the chat template, a license.
_KEPT = ("*.json", "*.model", "*.txt", "*.jinja", "LICENSE*", "NOTICE*")
#: What describes the base's own weights.
_ITS_OWN = ("config.json", "generation_config.json", "quantize_config.json")


def check(quantization: str, where: str = "quantization") -> None:
    """Raise UserError, naming the key, for a base that nothing can be merged into."""
    if quantization == "gptq":
        raise UserError(
            f"{where}: gptq, so the adapter cannot be merged: GPTQ weights are integers that were "
            "fitted to a calibration text, and peft cannot add to them. Load the adapter beside "
            "the GPTQ base instead (peft.PeftModel.from_pretrained), or train with nf4 or none."
        )


def dtype_for(compute: Compute) -> torch.dtype:
    """The 16-bit type of the merged model.

    bf16, which has the range of fp32 and is what most models are published in; fp16 only where the
    system was evaluated in fp16, on a GPU that has no bf16.
    """
    return torch.float16 if compute.dtype is torch.float16 else torch.bfloat16


def merge(
    folder: str | Path, quantization: str, compute: Compute, adapter: str | Path
) -> PreTrainedModel:
    """The adapter added to the weights of its base, in 16 bits and in main memory.

    The base is taken *as it was evaluated*: weights that were rounded to 4 or 8 bits
    are dequantized as they are, since the adapter was trained beside their errors. The sum is made
    in fp32 and rounded to the precision of evaluation. The base is quantized on the device of
    evaluation and dequantized in main memory, so a GPU need not hold the whole 16-bit model.

    Raises UserError for GPTQ, and where a merged weight is not a number.
    """
    check(quantization)
    model = load_base(folder, quantization, compute)
    if gptq_layers(model):
        check("gptq")
    model = model.to("cpu")
    transposed = upstream.conv1d_names(model)
    if quantization != "none":
        model = dequantize(model)
    model = merge_adapter(model, adapter)
    upstream.restore_conv1d(model, transposed)
    return model.to(dtype_for(compute)).eval()


def save(model: PreTrainedModel, base: str | Path, output: Path, prompt: Prompt = "") -> None:
    """Write the model with the tokenizer and chat template of its base, as transformers reads it.

    prompt: one of the task's, which decides by which token its answers end.

    The tokenizer's files are copied, byte for byte. The generation settings are greedy, as in
    evaluation, and know the tokens that end an answer and that pad a batch: without them
    `generate` would not stop.
    """
    tokenizer = load_tokenizer(base)
    model.config.use_cache = True
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=_ends(base, tokenizer, prompt),
        pad_token_id=pad_id(tokenizer),
        do_sample=False,
    )
    model.save_pretrained(output, safe_serialization=True)
    for file in sorted({file for pattern in _KEPT for file in Path(base).glob(pattern)}):
        if file.name not in _ITS_OWN and not file.name.endswith(".index.json"):
            # What it is a link to, so that the folder can be carried away.
            shutil.copyfile(file.resolve(), output / file.name)


def _ends(base: str | Path, tokenizer: Any, prompt: Prompt) -> int | list[int]:
    """Ids that end an answer: eos, the end of a turn in a chat, and what the base's own settings
    know beside them."""
    eos = eos_id(tokenizer)
    path = Path(base) / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    others = settings.get("eos_token_id") or []
    others = others if isinstance(others, list) else [others]
    ends = list(dict.fromkeys([eos, stop_id(prompt, tokenizer), *others]))
    return ends if len(ends) > 1 else eos


# ---------------------------------------------------------------- divergence


def sample(
    records: Sequence[dict],
    kind: Any,
    settings: TokenizeSettings,
    tokenizer: Any,
    tokens: int = SAMPLE_TOKENS,
) -> list[np.ndarray]:
    """Token ids of test records, spread evenly over them: prompt, answer and eos as in training.

    records: as in test.parquet. kind: a module of `deltatune.tasks`. At most `tokens` tokens that
    have one before them, but at least one record.
    """
    documents = [kind.document(record, settings.prompts) for record in records]
    # Steps of the golden ratio: the first few are spread over all records, however many it takes.
    shortening = shortening_of(kind.TRUNCATION, settings.overflow)
    order = sorted(range(len(documents)), key=lambda i: (i * 0.6180339887498949) % 1)
    pieces: list[np.ndarray] = []
    left = tokens
    for start in range(0, len(order), 64):
        chosen = [documents[i] for i in order[start : start + 64]]
        for ids in encode(chosen, tokenizer, settings.max_length, shortening).ids:
            if left < 1:
                return pieces
            if len(ids) > 1:
                pieces.append(ids[: left + 1])
                left -= len(pieces[-1]) - 1
    if not pieces:
        raise UserError(
            f"tasks.{settings.task}.max_length: no test record fits into {settings.max_length} "
            "tokens, so there is nothing to compare the merged model on; raise it."
        )
    return pieces


def judged(figures: dict[str, Any]) -> dict[str, Any]:
    """Those of `divergence.divergence` with the limit, and whether they are within it."""
    within = bool(figures["kl_mean"] <= KL_LIMIT)
    return {**figures, "kl_limit": KL_LIMIT, "within_limit": within}


def load_plain(folder: str | Path) -> PreTrainedModel:
    """The merged model as a user of transformers loads it, in the type that it is stored in.

    Where there is a GPU, what does not fit on it stays in main memory.
    """
    placement = {"device_map": "auto"} if torch.cuda.is_available() else {}
    return AutoModelForCausalLM.from_pretrained(
        str(folder), use_safetensors=True, trust_remote_code=False, **placement
    ).eval()


def verdict(figures: dict[str, Any], dtype: torch.dtype, quantization: str) -> str:
    """One sentence on the divergence, and a loud one above the limit."""
    measured = (
        f"the merged model is {figures['kl_mean']:.1e} nats per token from what was evaluated "
        f"(highest {figures['kl_max']:.1e}, {figures['tokens']} tokens, likeliest token the same "
        f"in {figures['same_argmax']:.1%})"
    )
    if figures["within_limit"]:
        return measured
    name = str(dtype).removeprefix("torch.")
    why = f"Rounding to {name} costs this model too much"
    if quantization == "int8":
        why = "LLM.int8 rounds activations too, which no merged model does"
    return (
        f"WARNING: {measured}. That is above {KL_LIMIT:g}: its answers and scores can differ from "
        f"those in the report. {why}, or its output layer was changed; to be exact, use the "
        "adapter on its base, as it was evaluated."
    )


def refuse_if_broken(figures: dict[str, Any]) -> None:
    """Raise UserError where the merged model gives no numbers."""
    if not math.isfinite(figures["kl_mean"]):
        raise UserError(
            "The merged model gives no finite likelihoods: a weight or activation is beyond the "
            "range of 16 bits. Use the adapter on its base instead."
        )
