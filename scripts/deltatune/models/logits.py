"""Logits of the last tokens of each row alone, where a model can leave out the others."""

from __future__ import annotations

import inspect
from typing import Any

import torch

#: Logits that are in fp32 or fp64 at once: half a gigabyte of the latter.
AT_ONCE = 2**26


def without_adapter(model: Any) -> Any:
    """The model of transformers that an adapter was put around."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def last_output(model: Any, count: int, **inputs: Any) -> Any:
    """The output of one forward pass; its logits are those of `count` tokens at least."""
    keep = "logits_to_keep" in inspect.signature(without_adapter(model).forward).parameters
    return model(**inputs, **({"logits_to_keep": count} if keep else {}))


def last_logits(model: Any, count: int, **inputs: Any) -> torch.Tensor:
    """[rows, count, vocabulary] of one forward pass without a cache."""
    return last_output(model, count, use_cache=False, **inputs).logits[:, -count:]
