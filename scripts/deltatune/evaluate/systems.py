"""Loading a system to evaluate: a base or a tuned one, in the same way."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from deltatune.core.errors import UserError
from deltatune.core.evaluated_with import DEQUANTIZED
from deltatune.evaluate import weights
from deltatune.evaluate.settings import EvaluationSettings
from deltatune.models import device, norms, oom, published
from deltatune.models.architecture import context_length
from deltatune.models.dequantize import dequantize, merge_adapter
from deltatune.models.divergence import divergence, log_probabilities
from deltatune.models.load import load_base, with_adapter
from deltatune.models.lora import compute_as_trained
from deltatune.models.quantization import count_parameters, dequantize_small
from deltatune.tokens.ids import bos_ids
from deltatune.tokens.tokenizer import load_tokenizer

#: What the divergence of dequantized weights is measured on: at most so many prompts of the task,
#: so many tokens of each, its last ones, and so many of all. Two forward passes of each prompt.
PROMPTS, LONGEST, TOKENS = 16, 128, 512

Prompt = TypeVar("Prompt")


@dataclass(frozen=True)
class System:
    """A base or a tuned system in memory. facts, for the manifest: which weights it has and why,
    how far they are from those that it was trained with, and how many of its norms are fused."""

    machine: device.Compute
    model: Any
    tokenizer: Any
    facts: dict[str, Any]


def load(
    inputs: Any,
    settings: EvaluationSettings,
    prompts: Sequence[Prompt],
    encode: Callable[[Sequence[Prompt], Any], list[list[int]]],
) -> System:
    """A system with the weights that `evaluation.weights` asks for.

    inputs: see `load_as_trained`. prompts: what it will be asked. encode: gives their token ids, as
    `tokens.ids.text_ids` does. Raises UserError where dequantized weights do not fit into memory,
    or give no numbers.
    """
    machine, base, tokenizer = _base(inputs, settings.quantization)
    config = json.loads((Path(inputs.model) / "config.json").read_text(encoding="utf-8"))
    choice = weights.choose(
        settings.weights,
        published.equivalent(config, settings.quantization),
        count_parameters(base),
        machine.device.startswith("cuda"),
    )
    print(f"weights: {choice.used} ({choice.reason})")
    facts: dict[str, Any] = {"weights_used": choice.used, "weights_reason": choice.reason}
    facts["fused_norms"] = norms.fuse(base) if machine.device.startswith("cuda") else 0
    model = _as_trained(base, inputs, machine)
    if choice.used == DEQUANTIZED:
        ids = encode(_spread(prompts, PROMPTS), tokenizer)
        pieces = sample(ids, bos_ids(tokenizer), context_length(model))
        as_trained = list(log_probabilities(model, pieces))
        model = _dequantized(model, _adapter(inputs))
        facts["weights_divergence"] = _measured(as_trained, model, pieces)
    return System(machine, model, tokenizer, facts)


def load_as_trained(inputs: Any, quantization: str) -> tuple[device.Compute, Any, Any]:
    """(compute, model, tokenizer) from a rule's inputs: the base as it is quantized, the adapter
    beside it.

    inputs: `model`, the base's folder, and for a tuned system `adapter`, the hash file that
    stands beside the adapter's folder.
    """
    machine, base, tokenizer = _base(inputs, quantization)
    return machine, _as_trained(base, inputs, machine), tokenizer


def _base(inputs: Any, quantization: str) -> tuple[device.Compute, Any, Any]:
    """Evaluation draws nothing at random; the seed is there for completeness. One thread, so that
    evaluations run side by side and give the same sums."""
    machine = device.prepare(seed=0, threads=1)
    base = load_base(inputs.model, quantization, machine)
    return machine, base, load_tokenizer(inputs.model)


def _as_trained(base: Any, inputs: Any, machine: device.Compute) -> Any:
    model = with_adapter(base, _adapter(inputs))
    compute_as_trained(model)
    dequantize_small(model, machine)
    return model


def sample(rows: Sequence[Sequence[int]], bos: list[int], context: int) -> list[np.ndarray]:
    """Token ids of some prompts, bos before each: their last ones, where an answer begins. At most
    TOKENS of them that have one before them; prompts without any are left out."""
    pieces: list[np.ndarray] = []
    left = TOKENS
    for row in rows:
        if left < 1:
            break
        own = list(row[len(bos) :] if list(row[: len(bos)]) == bos else row)
        piece = [*bos, *own[-min(LONGEST, context - len(bos), left) :]]
        if len(piece) > 1:
            pieces.append(np.array(piece))
            left -= len(piece) - 1
    return pieces


def _adapter(inputs: Any) -> Path | None:
    hashes = getattr(inputs, "adapter", None)
    return Path(hashes).with_suffix("") if hashes else None


def _spread(values: Sequence[Prompt], count: int) -> list[Prompt]:
    """At most so many, evenly spaced."""
    count = min(count, len(values))
    return [values[i * len(values) // count] for i in range(count)]


def _dequantized(model: Any, adapter: Path | None) -> Any:
    """The model without its quantization, and with its adapter merged."""
    try:
        base = dequantize(model if adapter is None else model.unload())
        dequantized = base if adapter is None else merge_adapter(base, adapter)
    except Exception as error:
        if not oom.out_of_memory(error):
            raise
        raise UserError(
            "evaluation.weights: the dequantized weights of the base do not fit into memory. Write "
            "`quantized`, for base and tuned alike, or use a machine with more memory."
        ) from None
    oom.release()
    return dequantized


def _measured(as_trained: list[Any], model: Any, pieces: list[np.ndarray]) -> dict[str, Any] | None:
    """Kullback-Leibler divergence of the model from what it was; None where no prompt has a token
    to measure it on. Raises UserError where it gives no numbers."""
    if not pieces:
        return None
    figures = divergence(as_trained, model, pieces, lambda text: None)
    if not math.isfinite(figures["kl_mean"]):
        raise UserError(
            "evaluation.weights: with dequantized weights the model gives no finite likelihoods: a "
            "weight or activation is beyond the range of 16 bits. Write `quantized`."
        )
    print(f"weights: {figures['kl_mean']:.1e} nats per token from those that it was trained with")
    return figures
