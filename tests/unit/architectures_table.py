"""Every common architecture, tiny and random, taken the whole way; what became of each.

It generates the table in docs/models.md: `python tests/unit/architectures_table.py`.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "scripts")]

import numpy as np
import tiny
import torch
from conftest import ROOT
from datasets import Dataset
from deltatune.core.errors import UserError
from deltatune.evaluate.generate import answer
from deltatune.evaluate.label_likelihood import score_completions
from deltatune.evaluate.label_passes import reads_label_trees, shares_cache
from deltatune.evaluate.likelihood import score_windows, windows
from deltatune.models import merge, probes
from deltatune.models.device import Compute
from deltatune.models.divergence import divergence, log_probabilities
from deltatune.models.load import load_base, load_system
from deltatune.models.quantization import layers
from deltatune.models.settings import Lora
from deltatune.tokens.encode import encode, pack
from deltatune.tokens.ids import continuation_ids, text_ids
from deltatune.tokens.prompts import Document
from deltatune.tokens.shards import COLUMNS
from deltatune.train import losses as training_losses
from deltatune.train.losses import mean_loss
from deltatune.train.settings import Base, Training, TrainSettings
from deltatune.train.train import train
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
)

DOCS = ROOT / "docs" / "models.md"
CPU = Compute("cpu", torch.float32, "a test")

_COMMON = {
    **{"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128},
}
_GPT = {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128}
_EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 32}
_VISION = {
    **{"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1},
    **{"num_attention_heads": 2, "image_size": 28, "patch_size": 14},
}
_LFM2 = ["conv", "full_attention", "conv"]

#: Name in the table -> (model_type, sizes).
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "Llama": ("llama", _COMMON),
    "Mistral": ("mistral", _COMMON),
    "Qwen2": ("qwen2", _COMMON),
    "Qwen3": ("qwen3", _COMMON | {"head_dim": 16}),
    "Qwen3-MoE": ("qwen3_moe", _COMMON | _EXPERTS | {"num_experts": 4, "head_dim": 16}),
    "Gemma": ("gemma", _COMMON | {"head_dim": 16}),
    "Gemma 2": ("gemma2", _COMMON | {"head_dim": 16, "sliding_window": 32}),
    "Gemma 3": ("gemma3_text", _COMMON | {"head_dim": 16, "sliding_window": 32}),
    "Gemma 3, multimodal": (
        "gemma3",
        {
            "text_config": _COMMON | {"head_dim": 16, "sliding_window": 32},
            "vision_config": _VISION,
            "mm_tokens_per_image": 4,
        },
    ),
    "Mistral 3, multimodal": (
        "mistral3",
        {"text_config": {"model_type": "mistral"} | _COMMON, "vision_config": _VISION},
    ),
    "SmolVLM": (
        "smolvlm",
        {"text_config": {"model_type": "llama"} | _COMMON, "vision_config": _VISION},
    ),
    "Llama 4, its text model": (
        "llama4_text",
        _COMMON | {"head_dim": 16, "intermediate_size_mlp": 64, "num_local_experts": 4},
    ),
    "Phi-3": ("phi3", _COMMON),
    "SmolLM3": ("smollm3", _COMMON),
    "OLMo-2": ("olmo2", _COMMON),
    "Granite": ("granite", _COMMON),
    "GPT-2": ("gpt2", _GPT),
    "GPT-NeoX": ("gpt_neox", _COMMON),
    "OPT": ("opt", _COMMON | {"ffn_dim": 64, "word_embed_proj_dim": 64}),
    "Falcon": ("falcon", _COMMON),
    "BLOOM": ("bloom", {"hidden_size": 64, "n_layer": 2, "n_head": 4}),
    "StarCoder2": ("starcoder2", _COMMON),
    "Mixtral": ("mixtral", _COMMON | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "LFM2": ("lfm2", _COMMON | {"layer_types": _LFM2, "num_hidden_layers": 3}),
    "Mamba": ("mamba", {"hidden_size": 64, "num_hidden_layers": 2, "state_size": 8}),
    "BioGPT": ("biogpt", _COMMON),
    "GPT-OSS": ("gpt_oss", _COMMON | {"num_local_experts": 4, "head_dim": 16}),
    "GPT-J": ("gptj", _GPT | {"rotary_dim": 8}),
    "MPT": ("mpt", {"d_model": 64, "n_layers": 2, "n_heads": 4, "max_seq_len": 128}),
    "CodeGen": ("codegen", _GPT | {"rotary_dim": 8}),
    "XGLM": ("xglm", {"d_model": 64, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64}),
    "RWKV": ("rwkv", {"hidden_size": 64, "num_hidden_layers": 2, "context_length": 128}),
    "BERT": ("bert", _COMMON),
    "T5": ("t5", {"d_model": 64, "num_layers": 2, "num_heads": 4, "d_ff": 64, "d_kv": 16}),
}

STEPS = (
    *("load", "nf4", "LoRA", "packed rows", "5 steps", "answers", "text", "labels"),
    *("merge", "reload"),
)
LABELS = [" World", " Sports and games"]


def build(name: str, folder: Path) -> Path:
    """A random model of an architecture, with a tokenizer, as a Hugging Face folder."""
    kind, sizes = ARCHITECTURES[name]
    tokenizer = tiny.tokenizer()
    ids = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if "text_config" in sizes:
        sizes = sizes | {"text_config": sizes["text_config"] | ids}
    config = AutoConfig.for_model(kind, **(sizes | ids))
    torch.manual_seed(0)
    auto = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if "vision_config" in sizes:
        auto = AutoModelForImageTextToText
    model = auto.from_config(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            weight.data.normal_(0, 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


# ---------------------------------------------------------------- the whole way


def examine(name: str, folder: Path) -> dict[str, str]:
    """Step -> what became of it, in the words of the table; "" of what follows a refusal.

    Every step is compared with what is known of it, so a cell is not there because nothing failed.
    """
    cells = dict.fromkeys(STEPS, "")
    build(name, folder / "model")
    try:
        base = load_base(folder / "model", "none", CPU)
    except UserError as error:
        return cells | {"load": refused(error)}
    cells["load"] = base.config._attn_implementation
    assert_some_logits_are_those_of_all(base)
    quantization = "nf4"
    try:
        counted = layers(load_base(folder / "model", quantization, CPU))
        cells["nf4"] = f"{counted.quantized} of {counted.linear}, {counted.share:.0%}"
    except UserError as error:
        cells["nf4"], quantization = refused(error), "none"
    cells |= _trained(folder, quantization)
    system = load_system(folder / "model", quantization, CPU, folder / "adapter")
    cells |= _evaluated(system)
    return cells | _merged(folder, quantization, system)


def assert_some_logits_are_those_of_all(model: Any) -> None:
    """Loss and gradients are the same where logits are computed of supervised tokens alone."""
    assert probes.ask(model, training_losses.selects_logits)
    ids = torch.tensor([probes.FIRST + probes.SECOND, probes.SECOND + probes.FIRST])
    labels = ids.clone()
    labels[0, :7] = labels[1, 2:9] = -100
    places = training_losses.supervised_places(labels)
    seen = []
    for at in (None, places):
        model.zero_grad()
        with training_losses.logits_at(model, at):
            given = {} if at is not None else {"labels": labels, "num_items_in_batch": 11}
            out = model(input_ids=ids, use_cache=False, **given)
        assert at is None or out.logits.shape[:2] == (1, len(places))
        loss = out.loss
        if at is not None:
            loss = training_losses.token_loss(out.logits, labels, None, 11, at)
        loss.backward()
        grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        seen.append({"loss": loss.detach()} | grads)
    model.zero_grad()
    torch.testing.assert_close(*seen, rtol=1e-4, atol=1e-5)


def refused(error: UserError) -> str:
    """The first sentence."""
    return f"refused: {str(error).partition(': ')[2].partition('. ')[0].rstrip('.')}."


def rows() -> tuple[Dataset, list[np.ndarray]]:
    """Packed rows of several documents, and their documents."""
    texts = [t for t in tiny.TEXTS for _ in (0, 1)]
    documents = [Document("", text) for text in texts]
    encoded = encode(documents, tiny.tokenizer(), 96, "truncate")
    columns = pack(encoded, 96)
    return Dataset.from_dict({name: list(columns[name]) for name in COLUMNS}), encoded.ids


def _trained(folder: Path, quantization: str) -> dict[str, str]:
    model = load_base(folder / "model", quantization, CPU)
    packed, documents = rows()
    before, apart = mean_loss(model, packed, 2), _apart(model, documents)
    assert abs(before - apart) < 1e-4 * apart, "documents of a packed row see each other"
    packed_rows = probes.ask(model, probes.separates_documents)
    trained = train(
        *(model, packed, packed, _settings(quantization)),
        *(CPU, folder / "adapter", folder / "scratch"),
        progress=_quiet,
        say=_quiet,
    )
    losses = trained.figures["losses"]["validation"]
    assert losses["tuned"] < losses["base"] - 0.05, losses
    assert trained.figures["documents_packed"] == packed_rows
    return {
        "LoRA": f"{sum('lora_A' in n for n, _ in model.named_parameters())} layers",
        "packed rows": "together" if packed_rows else "one by one",
        "5 steps": "yes",
    }


def _settings(quantization: str) -> TrainSettings:
    training = {"epochs": None, "max_steps": 5, "learning_rate": 1e-2, "batch_size": 2}
    return TrainSettings(
        model="tiny",
        quantization=quantization,
        lora=Lora(rank=4, targets="all-linear"),
        training=Training(**training, evaluations=1),
        seed=1,
        base=Base(name="tiny", revision=None),
    )


@torch.inference_mode()
def _apart(model: Any, documents: list[np.ndarray]) -> float:
    """Nats per token of documents that are read one by one."""
    total, count = 0.0, 0
    for ids in documents:
        row = torch.from_numpy(ids.astype(np.int64))[None]
        logits = model(input_ids=row, use_cache=False).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(logits, row[0, 1:], reduction="sum").item()
        count += len(ids) - 1
    return total / count


def _evaluated(model: Any) -> dict[str, str]:
    tokenizer, prompts = tiny.tokenizer(), tiny.TEXTS[:3]
    bos = [tokenizer.bos_token_id]
    encoded = [bos + ids for ids in text_ids(prompts, tokenizer)]
    answers = answer(*(model, tokenizer, prompts), max_new_tokens=6, batch_size=3, progress=_quiet)
    for ids, given in zip(encoded, answers, strict=True):
        assert given.text == tokenizer.decode(_greedy(model, ids, 6), skip_special_tokens=True)
    parts = windows(" ".join(tiny.TEXTS), tokenizer, 32)
    scored = score_windows(model, tokenizer, parts, batch_size=3, progress=_quiet)
    for part, nll in zip(parts, scored, strict=True):
        assert abs(nll + tiny.log_probabilities(model, part.ids)[-part.scored :].gather(
            1, torch.tensor(part.ids[-part.scored :])[:, None]).sum()) < 1e-3  # fmt: skip
    # So short that prompt and labels fit into the windows of those that have them.
    short = [prompt[:40] for prompt in prompts]
    labels = score_completions(
        *(model, tokenizer, short, LABELS), max_length=96, batch_size=3, progress=_quiet
    )
    ends = [[*ids, tokenizer.eos_token_id] for ids in continuation_ids(LABELS, tokenizer)]
    encoded = [bos + ids for ids in text_ids(short, tokenizer)]
    for ids, row in zip(encoded, labels.ended, strict=True):
        for end, score in zip(ends, row, strict=True):
            known = tiny.log_probabilities(model, ids + end)[-len(end) :]
            assert abs(known.gather(1, torch.tensor(end)[:, None]).sum() - score) < 1e-3
    padded, shared = probes.ask(model, probes.ignores_padding), probes.ask(model, shares_cache)
    in_one_pass = probes.ask(model, reads_label_trees)
    assert labels.in_one_pass == (len(prompts) if in_one_pass else 0)
    apart = "one prompt for all" if shared else "each with its prompt"
    return {
        "answers": "in batches" if padded else "one by one",
        "text": "yes",
        "labels": "one pass for all" if in_one_pass else apart,
    }


def _greedy(model: Any, ids: list[int], new: int) -> list[int]:
    made: list[int] = []
    while len(made) < new and tiny.tokenizer().eos_token_id not in made:
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids + made]), use_cache=False).logits
        made.append(int(logits[0, -1].argmax()))
    return made


def _merged(folder: Path, quantization: str, system: Any) -> dict[str, str]:
    pieces = rows()[1]
    evaluated = list(log_probabilities(system, pieces))
    merged = merge.merge(folder / "model", quantization, CPU, folder / "adapter")
    merge.save(merged, folder / "model", folder / "merged")
    plain = merge.load_plain(folder / "merged")
    figures = merge.judged(divergence(evaluated, plain, pieces, _quiet))
    assert figures["kl_mean"] < 5 * merge.KL_LIMIT, figures
    again = load_base(folder / "merged", "none", CPU)
    figures = merge.judged(divergence(evaluated, again, pieces, _quiet))
    assert figures["kl_mean"] < 5 * merge.KL_LIMIT, figures
    return {"merge": "yes", "reload": "yes"}


def _quiet(text: str) -> None:
    pass


# ---------------------------------------------------------------- the page

BEGIN = "<!-- table: written by `python tests/unit/architectures_table.py` -->"
END = "<!-- end of the table -->"


def table(outcomes: dict[str, dict[str, str]]) -> str:
    """outcomes: of each architecture what `examine` returned."""
    lines = [BEGIN, "", f"| model | {' | '.join(STEPS)} |", "|---" * (len(STEPS) + 1) + "|"]
    notes: list[str] = []
    for name, cells in outcomes.items():
        lines.append(f"| {name} | {' | '.join(_cell(cell, notes) for cell in cells.values())} |")
    numbered = [f"{number}. {note}" for number, note in enumerate(notes, start=1)]
    return "\n".join([*lines, "", *numbered, "", END])


def _cell(text: str, notes: list[str]) -> str:
    """The words of a cell; the reason of a refusal becomes a note below the table."""
    before, is_refused, reason = text.partition("refused: ")
    if not is_refused:
        return text
    if reason not in notes:
        notes.append(reason)
    return f"{before}refused <sup>{notes.index(reason) + 1}</sup>"


def documented() -> str:
    """The table as docs/models.md has it."""
    text = DOCS.read_text(encoding="utf-8")
    return text[text.index(BEGIN) : text.index(END) + len(END)]


def examine_all(folder: Path) -> dict[str, dict[str, str]]:
    outcomes = {}
    for name in ARCHITECTURES:
        (folder / name).mkdir()
        outcomes[name] = examine(name, folder / name)
    return outcomes


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        new = table(examine_all(Path(scratch)))
    DOCS.write_text(DOCS.read_text(encoding="utf-8").replace(documented(), new), encoding="utf-8")
