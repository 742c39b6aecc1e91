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


class Collator:
    """Rows of one length to a batch: input_ids, labels and position_ids, int64 [rows, length], and
    weights, float32, where the rows have some.

    There is no attention_mask, on purpose. transformers 5.23 keeps the documents of a packed row
    apart by their restarting position_ids, but only without a mask and without a cache: with a
    mask of ones, or with use_cache=True, they attend to each other without a warning;
    tests/unit/test_tokens_encode.py shows it. Padding needs no mask either: it is a document of
    its own, without a label.
    """

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        types = dict.fromkeys(COLUMNS, np.int64)
        if WEIGHTS in rows[0]:
            types[WEIGHTS] = np.float32
        return {
            name: torch.from_numpy(np.stack([np.asarray(row[name], dtype) for row in rows]))
            for name, dtype in types.items()
        }
