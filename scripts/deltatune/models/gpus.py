"""What is known about GPUs by name: how much memory, and whether they compute bf16."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """memory: bytes. bf16: in hardware; without it half precision is fp16."""

    name: str
    memory: int
    bf16: bool


# GiB as torch.cuda reports total_memory, what is left after ECC and firmware: a "16 GB"
# T4 has 14.7. Rounded down, as drivers differ by a few hundred MiB.
_GIB = {
    "T4": (14.5, False),
    "P100-16GB": (15.8, False),
    "V100-16GB": (15.7, False),
    "V100-32GB": (31.7, False),
    "RTX2080Ti": (10.7, False),
    "RTX3060": (11.7, True),
    "RTX3090": (23.6, True),
    "RTX4070": (11.7, True),
    "RTX4080": (15.7, True),
    "RTX4090": (23.5, True),
    "RTX5090": (31.3, True),
    "A10": (22.0, True),
    "A10G": (22.0, True),
    "A30": (23.5, True),
    "A40": (44.3, True),
    "A6000": (47.4, True),
    "L4": (22.0, True),
    "L40S": (44.3, True),
    "A100-40GB": (39.3, True),
    "A100-80GB": (79.1, True),
    "H100": (79.1, True),
    "H200": (139.7, True),
    "B200": (178.0, True),
}
KNOWN = {name: Gpu(name, int(gib * 2**30), bf16) for name, (gib, bf16) in _GIB.items()}


def find(name: str) -> Gpu | None:
    """A GPU by its name, however it is written: "a100 40gb", "NVIDIA A100-40GB"."""
    wanted = _plain(name)
    return next((gpu for known, gpu in KNOWN.items() if _plain(known) == wanted), None)


def smallest_with(memory: int) -> Gpu | None:
    """The smallest known GPU with at least so many bytes."""
    fitting = [gpu for gpu in KNOWN.values() if gpu.memory >= memory]
    return min(fitting, key=lambda gpu: gpu.memory, default=None)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]|nvidia|geforce|tesla", "", name.lower())
