"""A frozen base that the GPUs of one machine hold in shares, by torch's FSDP2.

The base alone is in shares: each block is put together from all of them just before it is used, on
the way forth and back, and taken apart again. The adapter is small: every process has all of it,
and its gradients are averaged as without sharding, so that optimizers, checkpoints and what is
saved are the same.

4-bit weights need help. FSDP holds floating point numbers only, and a weight that it has put
together has lost what bitsandbytes knew of it. So a packed weight becomes a plain parameter, its
bytes read as fp32, which are moved and never computed with; what is needed to unpack them (half a
bit for each weight) stays with the layer, whole on every GPU.

They must not be read as bf16: torch 2.11 copies that on a GPU by way of fp32, which makes all NaNs
one. On an H200 that changed 0.04% of a Mistral-7B's weights, up to three standard deviations each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn

from deltatune.core.errors import UserError

_HELD = torch.float32


@contextmanager
def quantized_on(device: str) -> Iterator[None]:
    """Within it, 4-bit weights are quantized on a device, whichever one they are loaded to.

    A base for sharding is loaded to the main memory, where quantizing takes minutes for each
    thousand million weights; and it is to be the base that a single GPU would have.
    """
    from bitsandbytes.nn import Params4bit

    plain = Params4bit._quantize

    def quantize(self, target):
        plain(self, device)
        self.data = self.data.to(target)
        self.quant_state.to(target)
        return self

    Params4bit._quantize = quantize
    try:
        yield
    finally:
        Params4bit._quantize = plain


def shard(model: Any, device: str) -> Any:
    """Share the frozen parameters of an adapted model out over the processes, in place.

    device: of this process. The model is in main memory before and on the device afterwards.
    Raises UserError for a model without blocks to share.
    """
    from bitsandbytes.nn import Linear4bit
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for module in model.modules():
        if isinstance(module, Linear4bit):
            _make_plain(module, device)
    trained = {p for p in model.parameters() if p.requires_grad}
    for parameter in trained:
        parameter.data = parameter.data.to(device)
    names = set(getattr(model.get_base_model(), "_no_split_modules", None) or ())
    blocks = [module for module in model.modules() if type(module).__name__ in names]
    if not blocks:
        raise UserError(
            "training.sharded: transformers does not say of which blocks this model is made, so "
            "it cannot be shared over GPUs."
        )
    kind = torch.device(device).type
    mesh = init_device_mesh(kind, (torch.distributed.get_world_size(),))
    for module in (*blocks, model):
        fully_shard(module, mesh=mesh, ignored_params=trained)
    # Where the base was loaded to, which accelerate compares with the device.
    model.get_base_model().hf_device_map = {"": device}
    return model


def _make_plain(layer: Any, device: str) -> None:
    """Turn a 4-bit layer's packed weight into a parameter that FSDP can hold."""
    state = layer.weight.quant_state
    state.to(device)
    layer.weight = nn.Parameter(layer.weight.data.view(-1).view(_HELD), requires_grad=False)
    layer.forward = partial(_multiply, layer, state)


def _multiply(layer: Any, state: Any, x: torch.Tensor) -> torch.Tensor:
    """What a 4-bit layer makes of x [..., in]: [..., out]."""
    out = _Product.apply(x.to(layer.compute_dtype or x.dtype), layer, state)
    if layer.bias is not None:
        out = out + layer.bias.to(out.dtype)
    return out.to(x.dtype)


def _unpacked(layer: Any, state: Any, dtype: torch.dtype) -> torch.Tensor:
    """The weight [out, in], while FSDP has the layer put together."""
    from bitsandbytes.functional import dequantize_4bit

    return dequantize_4bit(layer.weight.view(torch.uint8).view(-1, 1), state).to(dtype)


class _Product(torch.autograd.Function):
    """x times an unpacked weight. The way back unpacks it again, from what is there then: a weight
    that was kept from the way forth would have been taken apart in between."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, layer: Any, state: Any) -> torch.Tensor:
        ctx.layer, ctx.state, ctx.dtype = layer, state, x.dtype
        return x @ _unpacked(layer, state, x.dtype).T

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        weight = _unpacked(ctx.layer, ctx.state, gradient.dtype)
        return (gradient @ weight).to(ctx.dtype), None, None
