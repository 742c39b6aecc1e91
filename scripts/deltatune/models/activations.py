"""The activations of training, measured on tensors that have a shape and no memory.

Forward and backward pass run on fake tensors (torch's FakeTensorMode), block by block as the model
of any architecture is written, and every storage is counted from when it is made until it is freed.
So nothing about an architecture is assumed. Where all blocks are alike, a few of them are measured,
and the others counted as the last of these. The loss is left out: `models.memory` adds it.

Compiled blocks save less, since what is cheap is computed again in the backward pass. What they
save is decided by the functions that training's compiler calls, here with fake tensors. What there
is beyond it in the backward pass is counted as that of blocks as they are written, which fused
kernels do not exceed. Where activations are recomputed, both save the inputs of blocks alone.

Fake tensors lie on the CPU. What a GPU does otherwise is put in its place: the mask of a dropout,
which is a byte for each number there, and layers in 8 bits, which keep their input.
"""

from __future__ import annotations

import copy
import functools
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from deltatune.models import upstream
from deltatune.models.blocks import blocks


@dataclass(frozen=True)
class Way:
    """What activations depend on beside the model and the number of rows."""

    row_length: int
    """Tokens of a packed row."""
    checkpointing: bool
    on_gpu: bool
    half: bool
    """Whether it computes in bf16 or fp16 rather than in fp32."""
    quantization: str
    compiled: bool = False
    """Whether its transformer blocks are."""


@dataclass(frozen=True)
class Growth:
    """Bytes that grow with the rows of a forward pass."""

    fixed: int
    each: int

    def of(self, rows: int) -> int:
        return self.fixed + rows * self.each

    def repeated(self, fewer: Growth, times: int) -> Growth:
        """With what it has beyond `fewer`, so many times more."""
        return Growth(
            self.fixed + times * (self.fixed - fewer.fixed),
            self.each + times * (self.each - fewer.each),
        )

    @classmethod
    def through(cls, one: int, two: int) -> Growth:
        """one, two: bytes of one and of two rows."""
        return cls(2 * one - two, two - one)


@dataclass(frozen=True)
class Activations:
    """Bytes saved for the backward pass, the loss left out, and beyond them at its peak."""

    kept: Growth
    backward: Growth


class Live(upstream.DispatchMode):
    """Bytes of all tensors made under it that are still there, and the most there were at once."""

    def __init__(self, given: list[torch.Tensor]) -> None:
        """given: tensors that were there before and are not counted."""
        super().__init__()
        self._bytes = {upstream.storage_key(t.untyped_storage()): 0 for t in given}
        self.now = self.peak = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        result = function(*args, **(kwargs or {}))
        for tensor in upstream.leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = upstream.storage_key(storage)
        if key not in self._bytes:
            self._bytes[key] = storage.nbytes()
            self.now += self._bytes[key]
            weakref.finalize(storage, self._drop, key)

    def _drop(self, key: int) -> None:
        self.now -= self._bytes.pop(key, 0)


class _GpuDropout(torch.nn.Module):
    """Dropout as a GPU does it, with a mask of booleans."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.native_dropout(values, self.share, True)[0]


class _Int8Product(torch.autograd.Function):
    """The product of bitsandbytes' 8-bit layers, which keeps its input though nothing needs it."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(values, weight)
        return values @ weight.t()

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient @ ctx.saved_tensors[1], None


class _Int8Linear(torch.nn.Module):
    def __init__(self, weight: torch.nn.Parameter) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return _Int8Product.apply(values, self.weight.to(values.dtype))


FEW = 4
"""Blocks that are measured of a model whose blocks are alike: the first and the last one, which may
keep less or more, and two between them."""


@functools.lru_cache(maxsize=256)
def measure(model: torch.nn.Module, way: Way) -> Activations:
    """Of a peft model on the meta device, which stays as it is.

    Raises RuntimeError where the model's code reads values, which fake tensors do not have. Blocks
    that cannot be compiled are measured as they are written, as training computes them then.
    """
    if not way.compiled:
        return _of_all_blocks(_measured, model, way)
    written = measure(model, replace(way, compiled=False))
    if way.checkpointing:
        return written
    with suppress(Exception):  # each way in which compiling fails has an error of its own
        written = replace(written, kept=_of_all_blocks(_measured, model, way).kept)
    # Of what was traced nothing is used again, and torch traces a function a few times only.
    torch.compiler.reset()
    return written


@functools.lru_cache(maxsize=256)
def measure_cache(model: torch.nn.Module, way: Way) -> Activations:
    """Of a forward pass as evaluations do it, without gradients or autocast: the key-value cache,
    and what there is beyond it at the peak, the logits left out. Raises as `measure`."""
    return _of_all_blocks(_measured_cache, model, way)


def _of_all_blocks(
    measured: Callable[[torch.nn.Module, Way], Activations], model: torch.nn.Module, way: Way
) -> Activations:
    """What is measured of a model, from `FEW` of its blocks where the others are like them."""
    count = _blocks_alike(model)
    if count > FEW:
        with suppress(Exception):  # of code that counts on all of its blocks
            fewer, few = (measured(_with_blocks(model, n), way) for n in (FEW - 1, FEW))
            if fewer.backward == few.backward:
                return Activations(few.kept.repeated(fewer.kept, count - FEW), few.backward)
    return measured(copy.deepcopy(model), way)


def _lists(model: torch.nn.Module) -> list[torch.nn.ModuleList]:
    """The lists of blocks in a model: those that no other such list holds, adapters left out."""
    lists = (m for m in model.modules() if isinstance(m, torch.nn.ModuleList) and len(m) > 1)
    outer: list[torch.nn.ModuleList] = []
    for candidate in lists:
        if not any(candidate is inner for one in outer for inner in one.modules()):
            outer.append(candidate)
    return outer


def _blocks_alike(model: torch.nn.Module) -> int:
    """How many blocks a model has, if there is one list of them and all are alike; otherwise 0."""
    lists = _lists(model)
    kinds = getattr(model.get_base_model().config, "layer_types", None) or []
    if len(lists) != 1 or len({*kinds}) > 1:
        return 0
    shapes = {
        tuple((n, p.shape, p.requires_grad) for n, p in block.named_parameters())
        for block in lists[0]
    }
    return len(lists[0]) if len(shapes) == 1 else 0


def _with_blocks(model: torch.nn.Module, count: int) -> torch.nn.Module:
    """A copy with the first blocks alone."""
    (blocks,) = _lists(model)
    left_out = list(blocks)[count:]
    del blocks[count:]
    try:
        return copy.deepcopy(model)
    finally:
        blocks.extend(left_out)


def _measured(model: torch.nn.Module, way: Way) -> Activations:
    """`measure` of a model that is not used again."""
    with upstream.fake_tensors(), upstream.fake_products_of_experts():
        model = _fake(model, way).train()
        for block in blocks(model) if way.compiled else ():
            upstream.partition(block)
        if way.checkpointing:
            base = model.get_base_model()
            # As training does for a base that is frozen; 8 bits need the reentrant form.
            base.gradient_checkpointing_enable({"use_reentrant": way.quantization == "int8"})
            base.enable_input_require_grads()
        for parameter in model.parameters():
            if parameter.requires_grad:
                # Counted with the adapters by `models.memory`.
                parameter.register_post_accumulate_grad_hook(_let_go)
        kept, backward = zip(*(_of_rows(model, way, rows) for rows in (1, 2)), strict=True)
    return Activations(Growth.through(*kept), Growth.through(*backward))


def _measured_cache(model: torch.nn.Module, way: Way) -> Activations:
    """`measure_cache` of a model that is not used again."""
    kept, beyond = [], []
    with upstream.fake_tensors(), upstream.fake_products_of_experts(), torch.no_grad():
        model = _fake(model, replace(way, quantization="none")).eval()
        base = model.get_base_model()
        for rows in (1, 2):
            ids = torch.zeros(rows, way.row_length, dtype=torch.long)
            live = Live([*model.parameters(), *model.buffers(), ids])
            with live:
                result = getattr(base, base.base_model_prefix)(input_ids=ids, use_cache=True)
            kept.append(live.now - result.last_hidden_state.nbytes)
            beyond.append(live.peak - kept[-1])
    return Activations(Growth.through(*kept), Growth.through(*beyond))


def _let_go(parameter: torch.nn.Parameter) -> None:
    parameter.grad = None


def _of_rows(model: torch.nn.Module, way: Way, rows: int) -> tuple[int, int]:
    """(bytes kept after the forward pass, bytes beyond them in the backward pass)."""
    base = model.get_base_model()
    ids = torch.zeros(rows, way.row_length, dtype=torch.long)
    positions = torch.arange(way.row_length).repeat(rows, 1)
    live = Live([*model.parameters(), *model.buffers(), ids, positions])
    with live:
        with torch.autocast("cpu", _dtype(way), enabled=way.half):
            hidden = getattr(base, base.base_model_prefix)(
                input_ids=ids, position_ids=positions, use_cache=False
            ).last_hidden_state
        after = live.peak = live.now
        hidden.backward(torch.empty_like(hidden))
    # The last state itself is let go once the loss is there.
    return after - hidden.nbytes, live.peak - after


def _dtype(way: Way) -> torch.dtype:
    return torch.bfloat16 if way.half else torch.float32


def _fake(model: torch.nn.Module, way: Way) -> torch.nn.Module:
    """Its parameters and buffers as fake tensors of the CPU, its layers as training has them."""
    from peft.tuners.lora import LoraLayer

    made: dict[torch.nn.Parameter, torch.nn.Parameter] = {}
    for module in list(model.modules()):
        for name, old in list(module.named_parameters(recurse=False)):
            if old not in made:
                dtype = torch.float32 if old.requires_grad else _dtype(way)
                values = torch.empty(old.shape, dtype=dtype)
                made[old] = torch.nn.Parameter(values, requires_grad=old.requires_grad)
            setattr(module, name, made[old])
        for name, old in list(module.named_buffers(recurse=False)):
            setattr(module, name, torch.empty(old.shape, dtype=old.dtype))
        for name, child in list(module.named_children()):
            if way.on_gpu and isinstance(child, torch.nn.Dropout) and child.p:
                setattr(module, name, _GpuDropout(child.p))
        if isinstance(module, LoraLayer) and way.quantization != "none":
            # peft's layers on a quantized base leave the input to autocast.
            module.cast_input_dtype_enabled = False
    if way.quantization == "int8":
        head = model.get_base_model().get_output_embeddings()
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                frozen = isinstance(child, torch.nn.Linear) and not child.weight.requires_grad
                if frozen and child is not head and child.bias is None:
                    setattr(module, name, _Int8Linear(child.weight))
    return model
