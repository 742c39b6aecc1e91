"""The batches of an evaluation: which rows are computed together, and how wide they are.

They depend on the lengths of the rows and on the model's config, never on the card, so base and
tuned get the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from deltatune.tasks.base import BatchSize

#: Bytes of what a batch of `auto` keeps, such as keys and values: those of 192 rows of 384 tokens
#: of Mistral-7B. Where a card has less room, batches are halved as ever.
BUDGET = 9 * 2**30
#: Rows of a batch of `auto`, at most.
MOST_ROWS = 512
#: Rows of a batch of `auto` without a GPU.
ON_CPU = 32
#: Widths on a GPU are multiples of this, so that there are few shapes.
MULTIPLE = 64

RowBytes = Callable[[int], int]
"""Bytes that a row of so many tokens keeps while its batch is computed."""


def each_alike(width: int) -> int:
    """The `RowBytes` of batches that have a number of rows, however long these are."""
    return 1


@dataclass(frozen=True)
class Batch:
    """indices: of its rows. width: tokens that each of them is padded to."""

    indices: list[int]
    width: int


def batches_by_length(lengths: Sequence[int], batch_size: int) -> list[list[int]]:
    """Indices in batches of like length, longest first, so that running out of memory shows at
    once."""
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


def each_apart(
    groups: Sequence[list[int]],
    lengths: Sequence[int],
    batches: Callable[[list[int]], list[Batch]],
) -> list[Batch]:
    """Batches of each group of rows by itself. groups: indices of rows. batches: makes them from
    lengths."""
    return [
        Batch([rows[i] for i in batch.indices], batch.width)
        for rows in groups
        for batch in batches([lengths[i] for i in rows])
    ]


def budgeted_batches(
    lengths: Sequence[int],
    batch_size: int,
    row_bytes: RowBytes,
    *,
    multiple: int = MULTIPLE,
    longest: int | None = None,
) -> list[Batch]:
    """Batches of like length, longest first, each of which keeps at most what `batch_size` of the
    longest rows keep, or is one row.

    Widths are multiples of `multiple`, or `longest`, the most tokens that a row may have. All
    batches of a width but the last have the same number of rows.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    widths = [padded(length, multiple, longest) for length in lengths]
    rows_of = rows_by_width(max(widths, default=1), batch_size, row_bytes)
    batches, start = [], 0
    while start < len(order):
        width = widths[order[start]]
        rows = rows_of(width)
        batches.append(Batch(order[start : start + rows], width))
        start += rows
    return batches


def rows_by_width(widest: int, batch_size: int, row_bytes: RowBytes) -> Callable[[int], int]:
    """Rows that a batch of a width takes: they keep at most what `batch_size` rows of the widest
    batch keep, or are one."""
    most = batch_size * row_bytes(widest)
    return lambda width: min(max(MOST_ROWS, batch_size), max(1, most // row_bytes(width)))


def rows_within_budget(
    lengths: Sequence[int],
    row_bytes: RowBytes,
    *,
    multiple: int = MULTIPLE,
    longest: int | None = None,
) -> int:
    """The `batch_size` of `budgeted_batches` that `auto` stands for: as many of the longest rows as
    `BUDGET` takes, at least one and at most `MOST_ROWS`."""
    width = padded(max(lengths, default=1), multiple, longest)
    return min(MOST_ROWS, max(1, BUDGET // row_bytes(width)))


class BatchRule(NamedTuple):
    """How rows are put into batches, and what that is from: `evaluation.batch_size`, `auto` on a
    GPU or without one, or a model that cannot do with padding, or vLLM, which makes its own."""

    batch_size: int
    row_bytes: RowBytes
    source: Literal["set", "budget", "no_gpu", "padding", "vllm"]


def batch_rule(
    batch_size: BatchSize,
    lengths: Callable[[], Sequence[int]],
    row_bytes: RowBytes,
    *,
    on_gpu: bool,
    on_cpu: int = ON_CPU,
    longest: int | None = None,
) -> BatchRule:
    """The `evaluation.batch_size` of a task with `auto` resolved. lengths: asked for where they
    decide. on_cpu: rows of `auto` without a GPU. longest: as in `budgeted_batches`."""
    if batch_size != "auto":
        return BatchRule(batch_size, each_alike, "set")
    if not on_gpu:
        return BatchRule(on_cpu, each_alike, "no_gpu")
    rows = rows_within_budget(lengths(), row_bytes, longest=longest)
    return BatchRule(rows, row_bytes, "budget")


def padded(length: int, multiple: int = MULTIPLE, longest: int | None = None) -> int:
    """The width of a row of so many tokens."""
    width = -(-length // multiple) * multiple
    return width if longest is None else max(length, min(width, longest))


def cache_bytes(config: Any) -> int:
    """Bytes of the keys and values of a token in 16 bits: of a transformers config.

    A layer that keeps less, by a window or a state of constant size, is counted like the others.
    """
    text = config.get_text_config()
    _, shared = _head_widths(text)
    return max(1, _number(text, "num_hidden_layers") * shared * 2 * 2)


def block_parameters(config: Any) -> int:
    """Parameters of all blocks, which each token is multiplied by: of a transformers config, so of
    a base and of what was tuned from it alike. Of experts one is counted."""
    text = config.get_text_config()
    hidden, inner = _hidden_and_inner(text)
    queries, shared = _head_widths(text)
    # Queries and output, keys and values; gate, up and down.
    block = hidden * (2 * queries + 2 * shared + 3 * inner)
    return max(1, _number(text, "num_hidden_layers") * block)


def forward_bytes(config: Any) -> int:
    """Bytes of a token at the peak of a forward pass in 16 bits without a cache, beside an adapter
    in fp32 that is not merged: in the feed-forward layer of a block."""
    hidden, inner = _hidden_and_inner(config.get_text_config())
    # Hidden states, their norm and its copies in fp32; gate, activation, up and their product, and
    # what the adapter reads.
    return (2 * 2 + 3 * 4) * hidden + (4 * 2 + 4) * inner


def logits_bytes(config: Any) -> int:
    """Bytes of the logits of a token in 16 bits."""
    return 2 * _number(config.get_text_config(), "vocab_size")


def _head_widths(text: Any) -> tuple[int, int]:
    """(width of all queries, of all keys) of a layer."""
    heads = _number(text, "num_attention_heads") or 1
    size = _number(text, "head_dim") or _number(text, "hidden_size") // heads
    return heads * size, (_number(text, "num_key_value_heads") or heads) * size


def _hidden_and_inner(text: Any) -> tuple[int, int]:
    """Widths of the hidden states and of the feed-forward layer."""
    hidden = _number(text, "hidden_size") or 1
    return hidden, _number(text, "intermediate_size") or 4 * hidden


def _number(config: Any, field: str) -> int:
    """Of a config; where its layers differ, the largest, and 0 where it has none."""
    value = getattr(config, field, None) or 0
    return max(value) if isinstance(value, list | tuple) else value
