"""Packed rows, read from disk, and their batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import datasets
    import torch

COLUMNS = ("input_ids", "labels", "position_ids")

WEIGHTS = "weights"
"""A further column of the training rows of classes with weights, float32: that of each token."""


def read_shards(folder: Path) -> datasets.Dataset:
    """The rows that `writer` saved, memory-mapped: input_ids, labels and position_ids, and weights
    where there are some."""
    import datasets

    return datasets.load_from_disk(str(folder))


def row_lengths(rows: datasets.Dataset) -> np.ndarray:
    """Tokens of each row, int64 [rows], from the offsets of the lists alone."""
    import pyarrow.compute as pc

    return pc.list_value_length(rows.data.column("input_ids")).to_numpy().astype(np.int64)


_PADDING = {"input_ids": 0, "labels": -100, WEIGHTS: 0}


class Collator:
    """Rows to a batch: input_ids, labels and position_ids, int64 [rows, length], and weights,
    float32, where the rows have some. Rows that are not packed are padded to the longest of them.

    packed: whether the documents of a row are computed in one. Otherwise each is a row of the
    batch, padded on the right, where causal models do not look: the same loss, in more time, for
    models in which the documents of a row would see each other.

    There is no attention_mask, on purpose. transformers 5.23 keeps the documents of a packed row
    apart by their restarting position_ids, but only without a mask and without a cache: with a
    mask of ones, or with use_cache=True, they attend to each other without a warning;
    tests/unit/test_tokens_encode.py shows it. Padding needs no mask either: it is a document of
    its own, without a label.
    """

    def __init__(self, packed: bool = True) -> None:
        self._packed = packed

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        if not self._packed:
            rows = _documents(rows)
        types = dict.fromkeys(COLUMNS, np.int64)
        if WEIGHTS in rows[0]:
            types[WEIGHTS] = np.float32
        length = max(len(row["input_ids"]) for row in rows)
        return {
            name: torch.from_numpy(
                np.stack([_padded(np.asarray(row[name], dtype), name, length) for row in rows])
            )
            for name, dtype in types.items()
        }


def _documents(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, np.ndarray]]:
    """Each document of packed rows as a row of its own.

    What has no label, such as padding, is left out; where nothing has one, a document remains.
    """
    documents = []
    for row in rows:
        columns = {name: np.asarray(values) for name, values in row.items()}
        starts = np.flatnonzero(columns["position_ids"] == 0)[1:]
        parts = {name: np.split(values, starts) for name, values in columns.items()}
        documents += [{name: parts[name][i] for name in parts} for i in range(len(starts) + 1)]
    return [one for one in documents if (one["labels"] != -100).any()] or documents[:1]


def _padded(values: np.ndarray, name: str, length: int) -> np.ndarray:
    """A column of a row with padding: a document of its own, of whatever token, without a label."""
    missing = length - len(values)
    if not missing:
        return values
    padding = np.arange(missing) if name == "position_ids" else np.full(missing, _PADDING[name])
    return np.concatenate([values, padding.astype(values.dtype)])
