"""Loading a system to evaluate: a base or a tuned one, in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.models import device
from deltatune.models.load import load_system
from deltatune.models.quantization import dequantize_small
from deltatune.tokens.tokenizer import load_tokenizer


def load(inputs: Any, quantization: str, threads: int = 1) -> tuple[device.Compute, Any, Any]:
    """(compute, model, tokenizer) from a rule's inputs.

    inputs: `model`, the base's folder, and for a tuned system `adapter`, the hash file that
    stands beside the adapter's folder. Evaluation draws nothing at random; the seed is there for
    completeness. One thread, so that evaluations run side by side and give the same sums.
    """
    machine = device.prepare(seed=0, threads=threads)
    hashes = getattr(inputs, "adapter", None)
    adapter = Path(hashes).with_suffix("") if hashes else None
    model = load_system(inputs.model, quantization, machine, adapter)
    dequantize_small(model, machine)
    return machine, model, load_tokenizer(inputs.model)
