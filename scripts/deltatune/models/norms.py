"""RMS norms computed by one kernel of a GPU.

The classes of transformers write them out in six operations, each of which reads and writes all
activations. `torch.nn.functional.rms_norm` is the same mathematics. In 16 bits it computes in fp32
too, but rounds once, after multiplying by the weight, where most classes round before that as well.
So logits differ from those of the class by rounding.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from deltatune.models import oom
from deltatune.models.probes import FIRST, SECOND, ask, logits, same

#: How far apart rounding puts two numbers, relative to them; in bf16 by its two roundings.
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2**-7}


def fuse(model: Any) -> int:
    """Put a `torch.nn.RMSNorm` with the same weight in the place of each RMS norm of a model that
    is not trained. Returns how many there are; none, where logits would change by more than
    rounding, as a tiny model of its class says.

    model: a base, before an adapter is put beside it: so the norms of what was tuned from it, also
    those that were trained, are computed as its own.
    """
    return len(_replaced(model)) if ask(model, keeps_its_logits) else 0


def keeps_its_logits(model: Any) -> bool:
    """Of a model or its twin: whether its logits are the same with its RMS norms fused. It is left
    as it was."""
    rows = [FIRST, SECOND[: len(FIRST)]]
    written = logits(model, rows)
    replaced = _replaced(model)
    try:
        return same(logits(model, rows), written, model)
    finally:
        for parent, name, norm in replaced:
            setattr(parent, name, norm)


def _replaced(model: Any) -> list[tuple[torch.nn.Module, str, torch.nn.Module]]:
    """(parent, name in it, norm as it is written) of each that was replaced."""
    norms = [place for place in _children(model) if _is_fusible(place[2], model.dtype)]
    for parent, name, norm in norms:
        setattr(parent, name, _fused(norm))
    return norms


def _children(model: torch.nn.Module) -> Iterator[tuple[torch.nn.Module, str, torch.nn.Module]]:
    for parent in model.modules():
        for name, child in parent.named_children():
            yield parent, name, child


def _fused(norm: torch.nn.Module) -> torch.nn.RMSNorm:
    fused = torch.nn.RMSNorm(norm.weight.shape, _eps(norm), device="meta").train(norm.training)
    fused.weight = norm.weight
    return fused


def _is_fusible(module: torch.nn.Module, dtype: torch.dtype) -> bool:
    # The kernel takes activations and weights of one type.
    return looks_like_a_norm(module) and module.weight.dtype is dtype and is_rms_norm(module)


def looks_like_a_norm(module: torch.nn.Module) -> bool:
    """Whether it has one weight of one dimension, an eps, and is called with activations alone."""
    state = [*module.named_parameters(), *module.named_buffers()]
    return (
        [name for name, _ in state] == ["weight"]
        and module.weight.ndim == 1
        and isinstance(_eps(module), float)
        and "forward" not in vars(module)  # as what places layers on devices does
        and len(inspect.signature(module.forward).parameters) == 1
    )


def is_rms_norm(module: torch.nn.Module) -> bool:
    """Whether it computes what `torch.nn.functional.rms_norm` does, in fp32 and in bf16.

    module: one that looks like a norm. A copy is asked, on the CPU, with weights that are not those
    of a new norm: else one that multiplies by 1 + weight would seem to be another.
    """
    return all(_agrees(module, dtype) for dtype in ROUNDING)


@torch.no_grad()
def _agrees(module: torch.nn.Module, dtype: torch.dtype) -> bool:
    draw, size = torch.Generator().manual_seed(0), len(module.weight)
    weight = torch.nn.Parameter(torch.randn(size, generator=draw).to(dtype))
    norm = copy.deepcopy(module, {id(module.weight): weight})
    # With a mean that is not 0, and rows so small that eps counts.
    scale = torch.tensor([1, 1e-3, 30])[:, None]
    values = ((torch.randn(1, 3, size, generator=draw) + 0.5) * scale).to(dtype)
    expected = torch.nn.functional.rms_norm(values, (size,), weight, _eps(module))
    try:
        computed = norm(values)
    except Exception as error:  # each class has its own way to fail
        if oom.out_of_memory(error):
            raise
        return False
    close = {"rtol": ROUNDING[dtype], "atol": ROUNDING[dtype] / 10}
    return computed.dtype is dtype and torch.allclose(computed, expected, **close)


def _eps(norm: Any) -> Any:
    return getattr(norm, "variance_epsilon", getattr(norm, "eps", None))
