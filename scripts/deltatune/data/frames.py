"""Frames of many records, whose columns are never all there twice."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from deltatune.data.records import BATCH


def taken(records: pd.DataFrame, positions: np.ndarray) -> pd.DataFrame:
    """Some of the records, with a new index; positions: ascending.

    A batch at a time: pandas would first copy all of a column that comes in parts.
    """
    starts = range(0, len(records), BATCH)
    limits = np.searchsorted(positions, [*starts, len(records)])
    parts = [
        records.iloc[start : start + BATCH].iloc[positions[slice(*places)] - start]
        for start, places in zip(starts, pairwise(limits), strict=True)
        if places[0] < places[1]
    ]
    return pd.concat(parts or [records.iloc[:0]], ignore_index=True)


def alike(column: pd.Series) -> list[Any]:
    """The values of a column with few different ones, of which each is an object once."""
    codes, values = pd.factorize(column, use_na_sentinel=False)
    distinct = values.tolist()
    return [distinct[code] for code in codes.tolist()]


def write(records: pd.DataFrame, path: str | Path) -> None:
    """A Parquet file that does not show in which parts the records were made."""
    table = pa.Table.from_pandas(records, preserve_index=False)
    pq.write_table(table.combine_chunks(), path, compression="snappy")


def free_memory() -> None:
    """Give back what pyarrow keeps of columns that have ended, for more of its own."""
    pa.default_memory_pool().release_unused()
