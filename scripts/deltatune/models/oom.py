"""Recognizing that memory ran out, and evaluating in smaller batches. Imports no tensors."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

from deltatune.core.errors import UserError

Result = TypeVar("Result")

#: Parameters above which a model's activations, not its weights, decide what fits into a GPU.
LARGE = 1_000_000_000
# What torch and the CUDA libraries write where they raise no error of its own kind.
_PHRASES = ("out of memory", "can't allocate memory", "alloc_failed", "bad_alloc")


def use_checkpointing(setting: bool | str, parameters: int, on_gpu: bool) -> bool:
    """`training.activation_checkpointing`, with `auto` resolved."""
    return on_gpu and parameters > LARGE if setting == "auto" else bool(setting)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out, on the GPU or off it."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(p in str(error).lower() for p in _PHRASES)


def release() -> None:
    """Free what is no longer used. To be called outside the `except` block: inside it, the
    traceback still references every tensor of the failed attempt."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def evaluate(
    run: Callable[[int], Result],
    batch_size: int,
    *,
    where: str,
    say: Callable[[str], None] = print,
) -> tuple[Result, int]:
    """(run(n), n) for the largest n of batch_size, its half, and so on that fits into memory.

    Everything is evaluated again, so that the batches depend on n alone and n in the settings
    repeats them. where: the key of the batch size, for messages. Raises UserError where one row is
    too many.
    """
    size = batch_size
    while True:
        try:
            return run(size), size
        except Exception as error:
            if not out_of_memory(error):
                raise
        release()
        if size == 1:
            raise UserError(
                f"{where}: out of memory with batches of one already. Lower max_length or "
                "max_new_tokens of the task, load the base in fewer bits (quantization: nf4), or "
                "use a machine with more memory."
            )
        say(f"{where}: out of memory with batches of {size}; starting again with {size // 2}")
        size //= 2
