"""Packed rows to disk. Apart from `shards`, so that what trains on rows does not depend on how they
were written."""

from __future__ import annotations

import hashlib
import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deltatune.tokens.encoded import Packed

if TYPE_CHECKING:
    import datasets

STATE, INFO = "state.json", "dataset_info.json"
"""What `datasets` writes beside the rows."""


def write_shards(packed: Packed, folder: Path, shard_rows: int) -> None:
    """Save packed rows as Arrow files of at most `shard_rows` rows, for `shards.read_shards`.

    Rows that are not padded are saved with their tokens alone. The same rows give the same bytes
    in every file: the data set's fingerprint, which `datasets`
    may draw at random, is a hash of the rows. A shard is in memory at a time. Raises ValueError for
    shard_rows below 1, FileExistsError if the folder holds anything.
    """
    if shard_rows < 1:
        raise ValueError(f"shard_rows must be 1 or more, not {shard_rows}")
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: old shards would mix with new ones")
    fingerprint = _fingerprint(packed, shard_rows)
    count = max(1, -(-packed.rows // shard_rows))
    # As many rows in each as in the others, or one more.
    limits = [packed.rows // count * n + min(n, packed.rows % count) for n in range(count + 1)]
    names = [f"data-{n:05d}-of-{count:05d}.arrow" for n in range(count)]
    for number, (start, stop) in enumerate(pairwise(limits)):
        own = folder / f"shard-{number}"
        _table(packed, start, stop, fingerprint).save_to_disk(own, num_shards=1)
        (own / "data-00000-of-00001.arrow").replace(folder / names[number])
        for name in (STATE, INFO):
            (own / name).replace(folder / name)
        own.rmdir()
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    state["_data_files"] = [{"filename": name} for name in names]
    (folder / STATE).write_text(json.dumps(state, indent=2, sort_keys=True), encoding="utf-8")


def _fingerprint(packed: Packed, at_once: int) -> str:
    """A hash of all rows, column by column."""
    digest = hashlib.sha256()
    for name in packed.names:
        digest.update(f"{name} {(packed.rows, packed.length)} ".encode())
        for start in range(0, packed.rows, at_once):
            digest.update(packed.part(name, start, min(start + at_once, packed.rows)))
    return digest.hexdigest()[:16]


def _table(packed: Packed, start: int, stop: int, fingerprint: str) -> datasets.Dataset:
    """Some of the rows."""
    import datasets
    import pyarrow as pa
    from datasets.table import InMemoryTable

    lengths = packed.filled[start:stop]
    if packed.is_padded:
        lengths = np.full(len(lengths), packed.length)
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    arrays, features = {}, {}
    for name in packed.names:
        columns = packed.part if packed.is_padded else packed.tokens_of
        values = columns(name, start, stop).ravel()
        arrays[name] = pa.ListArray.from_arrays(ends, values)
        features[name] = datasets.List(datasets.Value(str(values.dtype)))
    return datasets.Dataset(
        InMemoryTable(pa.table(arrays)),
        info=datasets.DatasetInfo(features=datasets.Features(features)),
        fingerprint=fingerprint,
    )
