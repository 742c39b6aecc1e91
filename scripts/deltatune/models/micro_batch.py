"""How the rows of an optimizer step are computed in the memory that a GPU has.

What names a result is the rows of a step. As many of them as fit go through one forward pass.
Activations are recomputed (activation checkpointing) only where not all of them fit without, and
where passes of the rows that do would take longer in all. A run and `snakemake plan` ask the same
function. Memory is that of blocks as they are written, whether they will be compiled or not: those
take more, and where compiling fails, training goes on with them.

A pass of n tokens is taken to last n + `LAUNCHING` with a 7B, whose share that does not grow is
the host's, which launches kernels, and that of dequantized weights; of a smaller model that share
weighs more. On an H200 (`docs/performance.md`), passes of 2,048 and of 8,192 tokens of a Mistral-7B
in NF4 took 0.32 and 0.76 s without checkpointing, 0.53 and 1.10 s with it: 1.65 and 1.45 times as
long, with compiled blocks 1.25 and 1.0 times. By the operations it is 1.5 times, since the weights
of the base have no gradient.
"""

from __future__ import annotations

import math
from dataclasses import replace

from deltatune.core.text import file_size
from deltatune.models.batch import Batch, Passes
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.memory import Setup, estimate, largest_batch

LAUNCHING = 2000
"""Tokens of a 7B that could be computed in the time that a pass of any size takes beside its own:
2,400 of what is said above, fewer with compiled blocks."""
SEVEN_BILLION = 7e9
RECOMPUTING = 1.4
"""How many times as long a pass with checkpointing takes."""
SAFETY = 0.1
"""Share of the memory that is left free. Estimates were 0.99 to 1.06 of what was allocated."""


def why_as_set(on_gpu: bool, sharded: bool, documents_packed: bool) -> str | None:
    """Why batch and checkpointing are those of the settings, where `choose` does not apply.

    documents_packed: whether the documents of a row are computed in one.
    """
    if not on_gpu:
        return "as set: memory is asked for on a GPU alone"
    if sharded:
        return "as set: the memory of a sharded base is not estimated"
    if not documents_packed:
        return "as set: the documents of a row are rows of their own, and their number varies"
    return None


def choose(
    dimensions: ModelDimensions, setup: Setup, room: int, *, automatic: bool, rows: int
) -> Passes:
    """How a process computes its rows of a step.

    setup: as the recipe has it; its batch is that of one process. room: bytes for all that
    `memory.estimate` counts. automatic: whether checkpointing is chosen too; otherwise it is as in
    `setup`. rows: of training, for each process; a pass of more would be padding.
    """
    step = setup.batch
    most = min(step.rows, max(1, rows))
    widest = step.at_most(most).micro_batch_size

    def fitting(checkpointing: bool) -> Batch | None:
        asked = replace(setup, checkpointing=checkpointing)
        return step.at_most(largest_batch(dimensions, asked, round(room * (1 - SAFETY)), most))

    def passes(batch: Batch | None, checkpointing: bool, note: str = "", least: int = 0) -> Passes:
        batch = batch or Batch(1, step.rows)
        used = replace(setup, batch=batch, checkpointing=checkpointing)
        total = estimate(dimensions, used).total
        spare = max(0, round(room * (1 - SAFETY)) - total)
        sizes = f"{file_size(total)} of {file_size(room)}{note}"
        whole = "all that a step has" + ", as many as there are" * (widest < step.rows)
        limit = whole if batch.micro_batch_size == widest else f"no more of {widest} fit"
        return Passes(batch, checkpointing, f"{limit}: {sizes}", least, spare)

    if not automatic:
        return passes(fitting(setup.checkpointing), setup.checkpointing)
    plain = fitting(False)
    if plain and plain.micro_batch_size == widest:
        return passes(plain, False, least=_least_plain(dimensions, setup.row_length, widest))
    recomputed = fitting(True) or Batch(1, step.rows)
    more = recomputed.micro_batch_size
    least = _least_plain(dimensions, setup.row_length, more)
    if plain and plain.micro_batch_size >= least:
        return passes(plain, False, f"; {more} with activation checkpointing take longer", least)
    fewer = f"{plain.micro_batch_size} would" if plain else "none would"
    return passes(recomputed, True, f"; without activation checkpointing {fewer}", least)


def _least_plain(dimensions: ModelDimensions, row_length: int, rows: int) -> int:
    """Rows of a pass without checkpointing from which on it takes no longer, for each of them, than
    a pass of so many rows with it."""
    launching = LAUNCHING * SEVEN_BILLION / max(1, dimensions.parameters)
    longer = RECOMPUTING * (1 + launching / (rows * row_length)) - 1
    return min(rows, math.ceil(launching / longer / row_length))
