"""The processes that train one adapter together, a GPU each. Mostly there is one.

All of them must call these in the same order: each waits for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist


def rank() -> int:
    """The number of this process; 0 writes the files and speaks."""
    return dist.get_rank() if _together() else 0


def count() -> int:
    return dist.get_world_size() if _together() else 1


def all_reduce(values: Sequence[float]) -> list[float]:
    """The sums of the processes' values, in float64; the same on each."""
    if count() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(tensor)
    return tensor.tolist()


def first(value: Any) -> Any:
    """What process 0 has."""
    if count() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def all_gather(value: Any) -> list[Any]:
    """What each process has, in the order of their numbers."""
    if count() == 1:
        return [value]
    box: list[Any] = [None] * count()
    dist.all_gather_object(box, value)
    return box


def _together() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> str:
    return f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
