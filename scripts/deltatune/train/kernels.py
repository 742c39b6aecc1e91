"""Transformer blocks, compiled in place by torch.compile, and what is known of a run before it.

Blocks are compiled one by one, for constant shapes: blocks that are alike share the compiled code,
which takes seconds where a whole model takes minutes. Checkpointing stays outside of them where
whole blocks are computed again. What is measured between the steps, without gradients and in other
shapes, uses them as they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from deltatune.core.text import excerpt
from deltatune.models import oom
from deltatune.models.blocks import blocks, products
from deltatune.models.device import Compute
from deltatune.models.probes import ask
from deltatune.models.quantization import count_parameters
from deltatune.train import step, upstream
from deltatune.train.data import Steps
from deltatune.train.losses import selects_logits
from deltatune.train.settings import TrainSettings

#: Of torch.compile.
BACKEND = "inductor"


class WayFailed(Exception):
    """Blocks cannot be compiled here, or passes captured; the message says why."""


def choose(
    model: Any,
    settings: TrainSettings,
    compute: Compute,
    steps: Steps,
    row_length: int,
    free: int | None = None,
) -> step.Computed:
    """How the steps of a run are computed.

    model: with its adapter, on its device or, for a plan, on none. row_length: tokens of each row
    of a forward pass, 0 where they differ. free: for a plan, bytes of GPU memory beside base and
    adapter; None: those that are there.
    """
    training, on_gpu = settings.training, compute.device.startswith("cuda")
    strict = training.determinism == "strict"
    tokens = steps.batch.micro_batch_size * row_length
    return step.choose(
        step.Run(
            optimizer=training.optimizer,
            quantization=settings.quantization,
            strict=strict,
            on_gpu=on_gpu,
            fp16=compute.dtype is torch.float16,
            processes=steps.processes,
            trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
            free=(free or _free(compute.device)) if on_gpu else 0,
            parameters=count_parameters(model.get_base_model()),
            blocks=len(blocks(model)),
            has_experts=any("experts" in name for name, _ in model.named_modules()),
            compiler=free is not None or upstream.compiles(),
            checkpointing=steps.passes.checkpointing,
            draws=draws_numbers(model),
            products=products(model, tokens, compute.dtype.itemsize)
            if settings.quantization == "nf4"
            else 0,
            spare=steps.passes.spare,
            passes=steps.total * steps.batch.gradient_accumulation_steps,
            tokens=tokens,
            # The question takes a moment; a CPU computes all logits anyway.
            selects_logits=on_gpu and not strict and ask(model.get_base_model(), selects_logits),
        )
    )


def choose_algorithms(determinism: str, compute: Compute) -> bool:
    """Let torch leave deterministic algorithms, which `device.prepare` asks for, on a GPU where
    `determinism` is auto. Whether they are used is returned, for the manifest."""
    if determinism == "auto" and compute.device.startswith("cuda"):
        torch.use_deterministic_algorithms(False)
    return torch.are_deterministic_algorithms_enabled()


def _free(device: str) -> int:
    """Bytes of a GPU's memory that are free, those among them that this process has reserved."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def draws_numbers(model: Any) -> bool:
    """Whether a model has dropout, in modules or as a number that its attention takes."""
    return any(
        isinstance(value, float) and value > 0
        for module in model.modules()
        for name, value in vars(module).items()
        if "drop" in name or (name == "p" and isinstance(module, torch.nn.Dropout))
    )


def compile_blocks(model: Any, recomputed: str) -> None:
    """Compile the blocks of a model, as transformers has set its checkpointing, when they are used
    next. Names of parameters stay. recomputed: see `step.Computed`."""
    for block in blocks(model):
        if recomputed == "blocks":
            upstream.compile_below_checkpoint(block, BACKEND)
        else:
            upstream.compile_in_place(block, BACKEND)


def restore_blocks(model: Any) -> None:
    """Undo `compile_blocks`; checkpointing is set anew with each training."""
    for block in blocks(model):
        upstream.forget_compiled(block)


@contextmanager
def as_written() -> Iterator[None]:
    """Within it, compiled blocks are used as they are written."""
    with torch.compiler.set_stance("force_eager"):
        yield


def require_way(error: Exception, is_first: bool) -> None:
    """Raise WayFailed for an error of a pass that compiling or capturing caused.

    is_first: whether it is the first pass, where any error but that of memory counts as one: a
    compiler that is missing is noticed in many ways, and what is none of them fails again without.
    """
    if oom.out_of_memory(error):
        return
    if is_first or upstream.is_of_compiler(error):
        raise WayFailed(f"{type(error).__name__}: {excerpt(str(error), 200)}") from error
