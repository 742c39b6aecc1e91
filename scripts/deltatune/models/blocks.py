"""The transformer blocks of a model, which training compiles one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from deltatune.models import upstream


def blocks(model: Any) -> list[torch.nn.Module]:
    """The transformer blocks of a model with an adapter; none where they are not known."""
    names = upstream.block_classes(model.get_base_model())
    return [module for module in model.modules() if type(module).__name__ in names]


def products(model: Any, tokens: int, size: int) -> int:
    """Bytes of the products with the base's weights in the blocks, of so many tokens and numbers of
    `size` bytes, the last one of each block left out, which no gradient needs.

    Where a base is in 4 bits, compiled blocks keep them beside activation checkpointing: an
    operator of bitsandbytes 0.50 is not computed again by what torch 2.11 compiles.
    """
    # Where a config has another name for it, what is counted is more than is kept.
    last = getattr(model.get_base_model().config.get_text_config(), "hidden_size", 0)
    widths = (sum(_widths(block)) for block in blocks(model))
    return tokens * size * sum(max(0, width - last) for width in widths)


def _widths(block: torch.nn.Module) -> Iterator[int]:
    """Numbers that each of the base's layers in a block computes of a token."""
    for layer in block.modules():
        if isinstance(layer, torch.nn.Linear) and not layer.weight.requires_grad:
            yield layer.out_features
