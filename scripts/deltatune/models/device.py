"""The device and the precision of computation, and how it is made reproducible."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

# cuBLAS reads this once, when CUDA starts; without it matrix products are not reproducible.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

import numpy as np
import torch

from deltatune.core.errors import UserError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Compute:
    """device: "cpu", "mps" or "cuda:0", or another number in distributed training. dtype: of
    activations. reason: why this one, for the log."""

    device: str
    dtype: torch.dtype
    reason: str


def prepare(
    seed: int, threads: int, precision: str = "auto", gpu: int = 0, quantized: bool = True
) -> Compute:
    """Seed every generator, pin what rounds differently, choose device and precision once.

    threads: CPU threads; a fixed number, since it decides in which order numbers are added.
    precision: auto, bf16, fp16 or fp32. gpu: the number of the GPU, where there are several.
    quantized: whether the weights are. Raises UserError for a precision that the GPU does not have.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Each new tensor would be filled with NaN, for operations that read what nothing wrote.
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    compute = choose(precision, gpu, quantized)
    print(f"compute: {compute.device}, {compute.dtype} ({compute.reason}), {threads} CPU threads")
    return compute


def choose(precision: str = "auto", gpu: int = 0, quantized: bool = True) -> Compute:
    """The device and what it computes in. torch calls AMD's GPUs (ROCm) cuda, too.

    Apple's GPU (mps) trains what is not quantized, in fp32; nobody has tested that. Scores are sums
    in float64, which it has not, so they stay on the CPU. On a CPU the type is fp32 whatever is
    requested: it has no gradient scaler for fp16, and emulates bf16 on most processors, so a recipe
    for a GPU runs there as it is, slower and more exactly.
    """
    if not torch.cuda.is_available():
        if torch.backends.mps.is_available() and not quantized:
            reason = "Apple's GPU, in fp32; this is UNTESTED: compare with a run on the CPU"
            return Compute("mps", torch.float32, reason)
        ignored = "" if precision in ("auto", "fp32") else f"; {precision} is left to GPUs"
        reason = f"no GPU; a CPU is exact and fast enough in fp32{ignored}"
        return Compute("cpu", torch.float32, reason)
    name = torch.cuda.get_device_name(gpu)
    # torch.cuda.is_bf16_supported also says yes where bf16 is emulated, many times slower than
    # fp16; only compute capability 8 (Ampere) and newer have it in hardware.
    has_bf16 = torch.cuda.get_device_capability(gpu)[0] >= 8
    if precision == "auto":
        if has_bf16:
            return Compute(f"cuda:{gpu}", torch.bfloat16, f"{name} computes bf16")
        return Compute(f"cuda:{gpu}", torch.float16, f"{name} has no bf16")
    if precision == "bf16" and not has_bf16:
        raise UserError(
            f"training.precision: {name} does not support bf16. Write `auto` or `fp16`, or use a "
            "GPU of the Ampere generation or newer."
        )
    return Compute(f"cuda:{gpu}", DTYPES[precision], f"{name}, as training.precision asks")


def require(gpus: int, machine: Compute) -> None:
    """Raise UserError where fewer GPUs are available than requested; without any, processes on the
    CPU take their place."""
    available = torch.cuda.device_count() if machine.device.startswith("cuda") else gpus
    if available < gpus:
        raise UserError(
            f"training.gpus: {gpus} are requested and {available} are available here. Lower it, or "
            "use a machine with more."
        )
