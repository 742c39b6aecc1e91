"""Packed rows on disk, and their batches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import datasets
    import torch

COLUMNS = ("input_ids", "labels", "position_ids")


def write_shards(columns: Mapping[str, np.ndarray], folder: Path, shard_rows: int) -> None:
    """Save packed rows as Arrow files of at most `shard_rows` rows, for `read_shards`.

    columns: int32 [rows, row_length] each. The same rows give the same bytes in every file: the
    data set's fingerprint, which `datasets` may draw at random, is a hash of the rows. Raises
    ValueError for shard_rows below 1, FileExistsError if the folder holds anything.
    """
    import datasets
    import pyarrow as pa
    from datasets.table import InMemoryTable

    if shard_rows < 1:
        raise ValueError(f"shard_rows must be 1 or more, not {shard_rows}")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: old shards would mix with new ones")
    digest = hashlib.sha256()
    arrays = {}
    for name in COLUMNS:
        rows = np.ascontiguousarray(columns[name], dtype=np.int32)
        digest.update(f"{name} {rows.shape} ".encode() + rows.tobytes())
        count, length = rows.shape
        # Large offsets are not needed: a row is short and a shard has few of them, but one column
        # of a big data set has more than 2**31 tokens, so it is a chunked array.
        arrays[name] = pa.chunked_array(
            [
                pa.ListArray.from_arrays(
                    np.arange(len(part) + 1, dtype=np.int32) * np.int32(length),
                    part.reshape(-1),
                )
                for part in (rows[i : i + shard_rows] for i in range(0, count, shard_rows))
            ],
            type=pa.list_(pa.int32()),
        )
    count = len(columns[COLUMNS[0]])
    features = datasets.Features({n: datasets.List(datasets.Value("int32")) for n in COLUMNS})
    datasets.Dataset(
        InMemoryTable(pa.table(arrays)),
        info=datasets.DatasetInfo(features=features),
        fingerprint=digest.hexdigest()[:16],
    ).save_to_disk(folder, num_shards=max(1, -(-count // shard_rows)))


def read_shards(folder: Path) -> datasets.Dataset:
    """The rows that write_shards saved, memory-mapped: input_ids, labels and position_ids."""
    import datasets

    return datasets.load_from_disk(str(folder))


class Collator:
    """Rows of one length to a batch: input_ids, labels and position_ids, int64 [rows, length].

    There is no attention_mask, on purpose. transformers 5.23 keeps the documents of a packed row
    apart by their restarting position_ids, but only without a mask and without a cache: with a
    mask of ones, or with use_cache=True, they attend to each other without a warning;
    tests/unit/test_tokens_encode.py shows it. Padding needs no mask either: it is a document of
    its own, without a label.
    """

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        import torch

        return {
            name: torch.from_numpy(np.stack([np.asarray(row[name], np.int64) for row in rows]))
            for name in COLUMNS
        }
