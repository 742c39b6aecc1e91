"""The processes of distributed training, a GPU each. Mostly there is one.

All of them must call these in the same order: each waits for the others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from accelerate.utils import check_cuda_p2p_ib_support


def join(rank: int, processes: int, store: Path) -> None:
    """Join the processes of one machine: with NCCL on GPUs, with gloo without.

    store: a file in an existing folder, by which they meet.
    """
    on_gpu = torch.cuda.is_available()
    for name, value in (("RANK", rank), ("WORLD_SIZE", processes)):
        os.environ[name] = os.environ[f"LOCAL_{name}"] = str(value)
    if on_gpu:
        torch.cuda.set_device(rank)
        if not check_cuda_p2p_ib_support():
            # Of a consumer's GPU, as `accelerate launch` does.
            os.environ.setdefault("NCCL_P2P_DISABLE", "1")
            os.environ.setdefault("NCCL_IB_DISABLE", "1")
    else:
        os.environ["ACCELERATE_USE_CPU"] = "true"
        if sys.platform.startswith("linux"):
            # This machine's name may resolve to an address that it does not have.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    # As the Trainer would later, but by way of a file: no port has to be free.
    where = {"rank": rank, "world_size": processes, "init_method": store.resolve().as_uri()}
    PartialState(cpu=not on_gpu, **where)


def leave() -> None:
    """Wait for the others and part from them."""
    all_gather(None)
    dist.destroy_process_group()


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
