"""The processes of distributed training, a GPU each. Mostly there is one.

All of them must call these in the same order: each waits for the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist


def rank() -> int:
    """The number of this process; 0 writes the files and the messages."""
    return dist.get_rank() if _initialized() else 0


def world_size() -> int:
    """The number of processes."""
    return dist.get_world_size() if _initialized() else 1


def all_reduce(values: Sequence[float]) -> list[float]:
    """The sums of the processes' values, in float64; the same on each."""
    if world_size() == 1:
        return list(values)
    tensor = torch.tensor(values, dtype=torch.float64, device=_device())
    dist.all_reduce(tensor)
    return tensor.tolist()


def broadcast(value: Any) -> Any:
    """The value of process 0."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def all_gather(value: Any) -> list[Any]:
    """The value of each process, in the order of their numbers."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def _initialized() -> bool:
    return dist.is_available() and dist.is_initialized()


def _device() -> str:
    return f"cuda:{torch.cuda.current_device()}" if dist.get_backend() == "nccl" else "cpu"
