"""The transformer blocks of a model, which training compiles one by one."""

from __future__ import annotations

from typing import Any

import torch

from deltatune.models import upstream


def blocks(model: Any) -> list[torch.nn.Module]:
    """The transformer blocks of a model with an adapter; none where they are not known."""
    names = upstream.block_classes(model.get_base_model())
    return [module for module in model.modules() if type(module).__name__ in names]
