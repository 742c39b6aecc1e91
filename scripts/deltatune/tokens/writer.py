"""Packed rows to disk. Apart from `shards`, so that what trains on rows does not depend on how they
were written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deltatune.tokens.shards import COLUMNS, WEIGHTS

if TYPE_CHECKING:
    import pyarrow as pa


def write_shards(
    columns: Mapping[str, np.ndarray],
    folder: Path,
    shard_rows: int,
    lengths: np.ndarray | None = None,
) -> None:
    """Save packed rows as Arrow files of at most `shard_rows` rows, for `shards.read_shards`.

    columns: int32 [rows, row_length] each, and perhaps weights, float32. lengths: tokens of each
    row, [rows], of which no more are saved; None: all. The same rows give the
    same bytes in every file: the data set's fingerprint, which `datasets` may draw at random, is a
    hash of the rows. Raises ValueError for shard_rows below 1, FileExistsError if the folder holds
    anything.
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
    types = dict.fromkeys(COLUMNS, "int32") | ({WEIGHTS: "float32"} if WEIGHTS in columns else {})
    for name, dtype in types.items():
        rows = np.ascontiguousarray(columns[name], dtype=dtype)
        digest.update(f"{name} {rows.shape} ".encode() + rows.tobytes())
        shards = [slice(start, start + shard_rows) for start in range(0, len(rows), shard_rows)]
        # Large offsets are not needed: a row is short and a shard has few of them, but one column
        # of a big data set has more than 2**31 tokens, so it is a chunked array.
        arrays[name] = pa.chunked_array(
            [_lists(rows[s], None if lengths is None else lengths[s]) for s in shards],
            type=pa.list_(pa.type_for_alias(dtype)),
        )
    count = len(columns[COLUMNS[0]])
    features = datasets.Features({n: datasets.List(datasets.Value(t)) for n, t in types.items()})
    datasets.Dataset(
        InMemoryTable(pa.table(arrays)),
        info=datasets.DatasetInfo(features=features),
        fingerprint=digest.hexdigest()[:16],
    ).save_to_disk(folder, num_shards=max(1, -(-count // shard_rows)))


def _lists(rows: np.ndarray, lengths: np.ndarray | None) -> pa.ListArray:
    """Rows as lists, each of its own length; None: of all of its columns."""
    import pyarrow as pa

    count, length = rows.shape
    if lengths is None:
        offsets = np.arange(count + 1, dtype=np.int32) * np.int32(length)
        return pa.ListArray.from_arrays(offsets, rows.reshape(-1))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(offsets, rows[np.arange(length) < lengths[:, None]])
