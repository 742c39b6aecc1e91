"""How the rows of an optimizer step are divided, and how many steps a training run takes.

Needs no tensors to be imported, so that planning a run and starting its processes stay quick.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deltatune.core.errors import UserError


@dataclass(frozen=True)
class Batch:
    """What one process does in an optimizer step."""

    micro_batch_size: int
    """Rows of one forward and backward pass."""
    gradient_accumulation_steps: int
    """Passes of one optimizer step."""

    @property
    def rows(self) -> int:
        """Rows of one optimizer step."""
        return self.micro_batch_size * self.gradient_accumulation_steps

    def at_most(self, micro_batch_size: int) -> Batch | None:
        """The same rows in equal passes, as large as possible up to a limit; None below 1.

        Of 6 x 1 and at most 4 it makes 3 x 2, of 5 x 1 and at most 4 1 x 5.
        """
        for size in range(min(micro_batch_size, self.rows), 0, -1):
            if self.rows % size == 0:
                return Batch(size, self.rows // size)
        return None

    def per_process(self, processes: int) -> Batch:
        """The batch of each of several processes that take a step of these rows together.

        Passes are as large as before where possible, so that each GPU has as much to do at a time
        and accumulates less. Raises ValueError for rows that are no multiple of the processes.
        """
        rows, remainder = divmod(self.rows, processes)
        if remainder:
            raise ValueError(f"{self.rows} rows cannot be divided among {processes} processes")
        return Batch(rows, 1).at_most(self.micro_batch_size)


@dataclass(frozen=True)
class Passes:
    """How a process computes its rows of an optimizer step: `models.micro_batch` chooses it.

    It changes a step by rounding and by the masks of dropout alone.
    """

    batch: Batch
    checkpointing: bool
    """Whether activations are recomputed in the backward pass."""
    reason: str
    """Why so, for people."""
    least_plain: int = 0
    """Where memory runs out: rows of a pass below which activations are recomputed rather than
    fewer rows taken; 0: they never are."""
    spare: int = 0
    """Bytes of GPU memory that are left beside them by estimate; 0 where it is not known."""

    @classmethod
    def from_plain(cls, fields: Mapping[str, Any]) -> Passes:
        """Of what `dataclasses.asdict` made."""
        return cls(**{**fields, "batch": Batch(**fields["batch"])})


class OutOfMemory(Exception):
    """One of several processes ran out of memory. passes: of each of them."""

    def __init__(self, passes: Passes) -> None:
        super().__init__(passes)
        self.passes = passes


def smaller(used: Passes) -> tuple[Passes, str]:
    """How to start training again after running out of memory, and the message.

    With half the rows of a pass or less, or with activation checkpointing. Raises UserError where
    neither is left.
    """
    rows = used.batch.micro_batch_size
    halved = used.batch.at_most(rows // 2)
    too_few = halved is None or halved.micro_batch_size < used.least_plain
    if used.least_plain and not used.checkpointing and too_few:
        reason = f"memory ran out with {rows} rows at a time and without activation checkpointing"
        return replace(used, checkpointing=True, reason=reason, spare=0), (
            f"training.activation_checkpointing: out of memory with {rows} rows at a time; "
            "starting again with activation checkpointing"
        )
    batch, message = smaller_batch(used.batch)
    reason = f"memory ran out with {rows} rows at a time"
    return replace(used, batch=batch, reason=reason, spare=0), message


def smaller_batch(used: Batch) -> tuple[Batch, str]:
    """The batch to start training again with after running out of memory, and the message.

    It has half the rows of a pass or less. Raises UserError where a pass has one row already.
    """
    batch = used.at_most(used.micro_batch_size // 2)
    if batch is None:
        raise UserError(
            "training.batch_size: out of memory with one row at a time already. Lower the task's "
            "max_length, set training.activation_checkpointing: true, lower lora.rank, load the "
            "base in fewer bits (quantization: nf4), or use a machine with more memory."
        )
    return batch, (
        f"training.batch_size: out of memory with {used.micro_batch_size} rows at a time; starting "
        f"again with batch_size {batch.micro_batch_size} and gradient_accumulation "
        f"{batch.gradient_accumulation_steps}"
    )


# ---------------------------------------------------------------- steps


def steps_per_epoch(rows: int, rows_per_step: int) -> int:
    """The last step of an epoch takes what is left of its rows."""
    return math.ceil(rows / rows_per_step)


def total_steps(rows: int, rows_per_step: int, epochs: float | None, max_steps: int | None) -> int:
    """Optimizer steps of a training run, at least one. One of epochs and max_steps is None."""
    if max_steps is not None:
        return max_steps
    return max(1, round(steps_per_epoch(rows, rows_per_step) * epochs))


def rows_seen(rows: int, rows_per_step: int, steps: int) -> int:
    """Rows of the first `steps` steps, over all epochs."""
    epochs, remainder = divmod(steps, steps_per_epoch(rows, rows_per_step))
    return epochs * rows + remainder * rows_per_step
