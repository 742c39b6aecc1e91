"""Where tensors are computed, in which precision, and how it is made repeatable."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

# cuBLAS reads this once, when CUDA starts; without it matrix products are not repeatable.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
# Jobs that run side by side on few cores must not spin while they wait for their threads.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import torch


@dataclass(frozen=True)
class Compute:
    """device: "cpu" or "cuda:0". dtype: of activations. reason: why this one, for the log."""

    device: str
    dtype: torch.dtype
    reason: str


def prepare(seed: int, threads: int) -> Compute:
    """Seed every generator, pin what rounds differently, choose device and precision once.

    threads: CPU threads; a fixed number, since sums are split by it.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    compute = _choose()
    print(f"compute: {compute.device}, {compute.dtype} ({compute.reason}), {threads} CPU threads")
    return compute


def _choose() -> Compute:
    if not torch.cuda.is_available():
        return Compute("cpu", torch.float32, "no GPU; a CPU is exact and fast enough in fp32")
    name = torch.cuda.get_device_name(0)
    # The driver emulates bf16 on older cards, many times slower than fp16.
    if torch.cuda.get_device_capability(0)[0] >= 8:
        return Compute("cuda:0", torch.bfloat16, f"{name} computes bf16")
    return Compute("cuda:0", torch.float16, f"{name} has no bf16")
