"""The base of a measurement that needs no second environment: loaded once for both sides."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from deltatune.core import manifest
from deltatune.core.terminal import Terminal
from deltatune.models import device, norms
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small
from deltatune.tokens.tokenizer import load_tokenizer

from peers.watch import Results


def spec() -> dict[str, Any]:
    return json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))


def load(asked: dict[str, Any]) -> tuple[Any, Any]:
    """(model, tokenizer) as both sides get them."""
    machine = device.prepare(0, threads=asked["threads"])
    model = load_base(Path(asked["model"]), asked["quantization"], machine)
    dequantize_small(model, machine)
    return model, load_tokenizer(asked["model"])


def fuse_norms(model: Any) -> None:
    """What evaluations do to a base before they use it. A peer is measured before, since the model
    is one."""
    if model.device.type == "cuda":
        norms.fuse(model)


def results(asked: dict[str, Any], packages: list[str]) -> tuple[Results, dict[str, str]]:
    """(where results are written, versions)."""
    names = ["torch", "transformers", "bitsandbytes", *packages]
    return Results(asked["out"]), manifest.versions(names)


def terminal() -> Terminal:
    """One that nothing is shown on."""
    return Terminal(2, "benchmark")
