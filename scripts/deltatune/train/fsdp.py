"""A frozen base sharded over the GPUs of one machine, by torch's FSDP2.

The base alone is sharded: each block is all-gathered just before it is used, in the forward and in
the backward pass, and freed again. The adapter is small: every process has all of it, and its
gradients are averaged as without sharding, so that optimizers, checkpoints and what is saved are
the same.

4-bit weights need help. FSDP takes floating point numbers only, and an all-gathered weight has lost
the quantization state that bitsandbytes attached to it. So a packed weight becomes an ordinary
parameter, its bytes read as numbers that are moved and never computed with; the quantization state
(half a bit for each weight) stays with the layer, whole on every GPU.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import nn

from deltatune.core.errors import UserError
from deltatune.models.blocks import blocks
from deltatune.models.upstream import multiply
from deltatune.train import upstream


def shard(model: Any, device: str) -> Any:
    """Shard the frozen parameters of a model with an adapter over the processes, in place.

    device: of this process. The model is in main memory before and on the device afterwards.
    Raises UserError for a model without transformer blocks.
    """
    from bitsandbytes.nn import Linear4bit
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for module in model.modules():
        if isinstance(module, Linear4bit):
            unwrap_packed_weight(module, device)
    trained = {p for p in model.parameters() if p.requires_grad}
    for parameter in trained:
        parameter.data = parameter.data.to(device)
    if not (units := blocks(model)):
        raise UserError(
            "training.sharded: transformers does not say which blocks this model consists of, so "
            "it cannot be sharded over GPUs."
        )
    kind = torch.device(device).type
    mesh = init_device_mesh(kind, (torch.distributed.get_world_size(),))
    for module in (*units, model):
        fully_shard(module, mesh=mesh, ignored_params=trained)
    # Where the base was loaded to, which accelerate compares with the device.
    model.get_base_model().hf_device_map = {"": device}
    return model


def unwrap_packed_weight(layer: Any, device: str) -> None:
    """Turn a 4-bit layer's packed weight into a parameter that FSDP can shard."""
    state = layer.weight.quant_state
    state.to(device)
    packed = layer.weight.data.view(-1).view(upstream.PACKED_DTYPE)
    layer.weight = nn.Parameter(packed, requires_grad=False)
    layer.forward = partial(_forward, layer, state)


def _forward(layer: Any, state: Any, x: torch.Tensor) -> torch.Tensor:
    """What a 4-bit layer makes of x [..., in]: [..., out]."""
    from bitsandbytes.functional import dequantize_4bit

    def dequantize(dtype: torch.dtype) -> torch.Tensor:
        packed = layer.weight.view(torch.uint8).view(-1, 1)
        return dequantize_4bit(packed, state).to(dtype).T

    out = multiply(x.to(layer.compute_dtype or x.dtype), dequantize)
    if layer.bias is not None:
        out = out + layer.bias.to(out.dtype)
    return out.to(x.dtype)
