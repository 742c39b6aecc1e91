"""The memory of compiled blocks, on small models and against what GPUs took."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from deltatune.models import activations, memory, upstream
from deltatune.models.activations import Live, Way
from deltatune.models.batch import Batch
from deltatune.models.blocks import blocks
from deltatune.models.dimensions import ModelDimensions, model_dimensions
from deltatune.models.lora import lora_config
from deltatune.models.memory import Setup
from deltatune.models.settings import Lora
from peft import get_peft_model
from test_plan_plan import CONFIGS
from transformers import AutoConfig, AutoModelForCausalLM, masking_utils

ROWS, LENGTH = 2, 64
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 6,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}
WAY = Way(LENGTH, checkpointing=False, on_gpu=False, half=True, quantization="none", compiled=True)


@pytest.fixture(autouse=True)
def traced_anew():
    yield
    torch.compiler.reset()


def config(kind: str):
    return AutoConfig.for_model(kind, **SHAPE, head_dim=16)


def lora(dropout: float = 0.0, rank: int = 4) -> Lora:
    return Lora(rank=rank, dropout=dropout, targets="all-linear")


def sizes(kind: str, dropout: float = 0.0) -> ModelDimensions:
    return model_dimensions(config(kind).to_dict(), lora(dropout), "experiments.x")


def saved_bytes(kind: str, dropout: float) -> int:
    """Of a model with real tensors after its forward pass, the last hidden state left out."""
    typed = config(kind)
    model = AutoModelForCausalLM.from_config(
        typed, attn_implementation="sdpa", dtype=torch.bfloat16
    )
    model = get_peft_model(model, lora_config(model, lora(dropout))).train()
    traced = blocks(model)
    assert len(traced) == SHAPE["num_hidden_layers"]
    for block in traced:
        upstream.partition(block)
    ids = torch.randint(3, SHAPE["vocab_size"], (ROWS, LENGTH))
    positions = torch.arange(LENGTH // 2).repeat(ROWS, 2)
    live = Live([*model.parameters(), *model.buffers(), ids, positions])
    with live, torch.autocast("cpu", torch.bfloat16):
        hidden = (
            model.get_base_model()
            .model(input_ids=ids, position_ids=positions, use_cache=False)
            .last_hidden_state
        )
    return live.now - hidden.nbytes


@pytest.mark.parametrize(("kind", "dropout"), [("mistral", 0.1), ("qwen3", 0.0)])
def test_compiled_blocks_save_what_the_partitioner_decides(kind, dropout):
    model = sizes(kind, dropout).model
    counted = activations.measure(model, WAY)
    written = activations.measure(model, replace(WAY, compiled=False))
    assert counted.kept.of(ROWS) == pytest.approx(saved_bytes(kind, dropout), rel=0.02)
    assert counted.kept.each < 0.85 * written.kept.each
    assert counted.backward == written.backward


def test_with_checkpointing_compiled_blocks_save_their_inputs():
    model = sizes("llama").model
    written, compiled = (
        activations.measure(model, replace(WAY, checkpointing=True, compiled=compiled))
        for compiled in (False, True)
    )
    assert compiled == written


def test_blocks_that_cannot_be_compiled_are_measured_as_written(monkeypatch):
    def refuse(module):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(upstream, "partition", refuse)
    model = sizes("llama").model
    written = activations.measure(model, replace(WAY, compiled=False))
    assert activations.measure(model, WAY) == written


def allocated(name: str, rows: int, length: int, **changes: bool) -> float:
    """Gigabytes that a plan has for compiled training in NF4, rank 16 on all layers, no dropout.
    changes: of the setup."""
    shape = json.loads((CONFIGS / f"{name}.json").read_text())
    setup = Setup(
        quantization="nf4",
        optimizer="adamw_torch_fused",
        batch=Batch(rows, 1),
        row_length=length,
        checkpointing=False,
        on_gpu=True,
        half=True,
        compiled=True,
    )
    setup = replace(setup, **changes)
    dimensions = model_dimensions(shape, lora(rank=16), "experiments.x")
    return memory.estimate(dimensions, setup).allocated / 1e9


# What benchmarks/peers.py allocated on an H100. Its rows of 2,048 tokens are one document each, all
# of it supervised. Those of 512 are packed and their passes captured, with the logits of as many
# tokens as the most supervised rows have; how many that were was not printed, and a plan has all.


def test_a_7b_whose_rows_are_one_document(monkeypatch):
    # These have no mask outside of a capture; in a plan there is one, for rows of several.
    monkeypatch.setattr(masking_utils, "find_packed_sequence_indices", lambda positions: None)
    assert allocated("mistralai--Mistral-7B-v0.1", 4, 2048) == pytest.approx(44.6, rel=0.1)


@pytest.mark.parametrize(("keeps_products", "measured"), [(True, 30.5), (False, 10.1)])
def test_a_7b_with_checkpointing(keeps_products, measured):
    """On an H100, the blocks compiled with their checkpoints, and below them."""
    changes = {"checkpointing": True, "keeps_products": keeps_products}
    planned = allocated("mistralai--Mistral-7B-v0.1", 4, 2048, **changes)
    assert planned == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("name", "rows", "measured"),
    [
        ("mistralai--Mistral-7B-v0.1", 4, 15.4),
        ("HuggingFaceTB--SmolLM2-135M-Instruct", 8, 4.93),
    ],
)
def test_packed_rows_whose_passes_are_captured(name, rows, measured):
    assert allocated(name, rows, 512) == pytest.approx(measured, rel=0.1)
