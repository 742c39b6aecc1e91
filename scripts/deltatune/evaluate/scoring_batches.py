"""The batches of labels and of running text, which one forward pass reads.

A pass takes as long as its tokens, padding included, and what it takes besides, however many they
are. Few batches are full of padding, and many cost the latter often: batches of a budget are those
that take the least in all. They too depend on lengths and on the model's config alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from deltatune.evaluate.batches import (
    Batch,
    BatchRule,
    RowBytes,
    block_parameters,
    budgeted_batches,
    each_apart,
    padded,
    rows_by_width,
)
from deltatune.models.architecture import frequencies_change

#: Parameters times tokens that a GPU computes in the time that a forward pass takes beside its
#: tokens: 1,100 tokens of a 7B. Some 20 ms, in which the host launches kernels and weights are
#: dequantized. That of a pass of training, which also goes backward, is in `models.micro_batch`.
LAUNCHING = 1_100 * 7_000_000_000
#: Widths on a GPU are multiples of this: masks are aligned, and kernels are chosen for each shape.
MULTIPLE = 16


def scoring_batches(
    lengths: Sequence[int], rule: BatchRule, config: Any, longest: int, beside: int = 0
) -> list[Batch]:
    """Batches of rows of so many tokens. config: of the model. longest: the most tokens that a row
    is padded to. beside: tokens of each row that have no position of their own. Batches that are
    not from a budget are padded to their longest rows.

    Rows with the rotary frequencies of short passes are in batches of their own.
    """
    limit, places = beside + frequencies_change(config), range(len(lengths))
    long = [i for i in places if lengths[i] > limit]
    short = [i for i in places if lengths[i] <= limit]

    def made(some: list[int]) -> list[Batch]:
        within = max(some, default=0) <= limit
        return _of_one_side(some, rule, config, min(longest, limit) if within else longest)

    return each_apart([long, short], lengths, made)


def _of_one_side(lengths: Sequence[int], rule: BatchRule, config: Any, longest: int) -> list[Batch]:
    if rule.source != "budget":
        return budgeted_batches(lengths, rule.batch_size, rule.row_bytes, multiple=1)
    launching = LAUNCHING // block_parameters(config)
    made = cheapest_batches(lengths, rule.batch_size, rule.row_bytes, launching, longest)
    # Running out of memory shows at once.
    return sorted(made, key=lambda batch: -len(batch.indices) * rule.row_bytes(batch.width))


def cheapest_batches(
    lengths: Sequence[int], batch_size: int, row_bytes: RowBytes, launching: int, longest: int
) -> list[Batch]:
    """Of all batches of like length, longest first, within what `budgeted_batches` allows: those of
    the least cost in all, which is rows x width + `launching` of each, in tokens."""
    order = np.argsort(-np.asarray(lengths), kind="stable").tolist()
    widths = [padded(lengths[i], MULTIPLE, longest) for i in order]
    rows_of = rows_by_width(max(widths, default=1), batch_size, row_bytes)

    @cache
    def costs_of(width: int) -> np.ndarray:
        """Of a batch of one row, of two, and so on."""
        return launching + width * np.arange(1, rows_of(width) + 1)

    # From the end: the least cost of the rows from each on, and those of them in its batch.
    costs, rows = np.zeros(len(order) + 1, dtype=np.int64), [0] * len(order)
    for start in reversed(range(len(order))):
        batch = costs_of(widths[start])
        rest = costs[start + 1 : start + 1 + len(batch)]
        total = batch[: len(rest)] + rest
        best = int(total.argmin())
        costs[start], rows[start] = total[best], best + 1
    batches, start = [], 0
    while start < len(order):
        batches.append(Batch(order[start : start + rows[start]], widths[start]))
        start += rows[start]
    return batches


def padding_share(batches: Sequence[Batch], lengths: Sequence[int]) -> float:
    """Of all tokens that batches of rows of so many tokens are computed with."""
    computed = sum(len(batch.indices) * batch.width for batch in batches)
    return round(1 - sum(lengths) / computed, 4)
