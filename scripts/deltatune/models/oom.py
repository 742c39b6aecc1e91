"""Work that does not fit into memory, done in smaller pieces. Needs no tensors to be imported."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import TypeVar

from deltatune.core.errors import UserError

Result = TypeVar("Result")

#: Parameters above which a model's activations, not its weights, decide what fits into a GPU.
LARGE = 1_000_000_000
# How torch and the CUDA libraries say it where they raise no error of its own kind.
_SAID = ("out of memory", "can't allocate memory", "alloc_failed", "bad_alloc")


class OutOfMemory(Exception):
    """Memory ran short in one of several processes, with this batch and accumulation each."""

    def __init__(self, plan: tuple[int, int]) -> None:
        super().__init__(f"memory ran short with {plan}")
        self.plan = plan


def use_checkpointing(asked: bool | str, parameters: int, on_gpu: bool) -> bool:
    """`training.activation_checkpointing`, with `auto` decided."""
    return on_gpu and parameters > LARGE if asked == "auto" else bool(asked)


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran short, on the GPU or off it."""
    if isinstance(error, MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(s in str(error).lower() for s in _SAID)


def release() -> None:
    """Give back what is no longer used. To be called outside the `except` block: inside it, the
    traceback still holds every tensor of the failed try."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def smaller(batch_size: int, accumulation: int) -> tuple[int, int] | None:
    """Half the batch or less, with as much more accumulation that a step sees the same rows.

    Of 6 x 1 it makes 3 x 2, of 5 x 1 1 x 5. None where the batch is 1.
    """
    rows = batch_size * accumulation
    for size in range(batch_size // 2, 0, -1):
        if rows % size == 0:
            return size, rows // size
    return None


def next_plan(used: tuple[int, int]) -> tuple[tuple[int, int], str]:
    """The batch and accumulation to begin training again with, and what to say about it.

    Raises UserError where the batch was one row already.
    """
    plan = smaller(*used)
    if plan is None:
        raise UserError(
            "training.batch_size: memory ran short with one row at a time already. Lower the "
            "task's max_length, set training.activation_checkpointing: true, lower lora.rank, hold "
            "the base in fewer bits (quantization: nf4), or use a machine with more memory."
        )
    return plan, (
        f"training.batch_size: memory ran short with {used[0]} rows at a time; beginning again "
        f"with batch_size {plan[0]} and gradient_accumulation {plan[1]}"
    )


def shared(batch_size: int, accumulation: int, processes: int) -> tuple[int, int]:
    """The batch and the accumulation of each of several processes that take a step together.

    A step sees the rows that it sees in one process. The batch is as large as before where that
    goes, so that each GPU has as much to do at a time and accumulates less.
    """
    rows, rest = divmod(batch_size * accumulation, processes)
    if rest:
        raise ValueError(f"{batch_size} x {accumulation} rows cannot be shared by {processes}")
    size = next(size for size in range(min(batch_size, rows), 0, -1) if rows % size == 0)
    return size, rows // size


def evaluate(
    run: Callable[[int], Result],
    batch_size: int,
    *,
    where: str,
    say: Callable[[str], None] = print,
) -> tuple[Result, int]:
    """(run(n), n) for the largest n of batch_size, its half, and so on that fits into memory.

    All of it is done again, so that the batches depend on n alone and n in the settings repeats
    them. where: the key of the batch size, for messages. Raises UserError where one is too many.
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
                f"{where}: memory ran short with batches of one already. Lower max_length or "
                "max_new_tokens of the task, hold the base in fewer bits (quantization: nf4), or "
                "use a machine with more memory."
            )
        say(f"{where}: memory ran short with batches of {size}; beginning again with {size // 2}")
        size //= 2
