"""Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deltatune.core.errors import UserError
from deltatune.core.nested import without_fillers
from deltatune.core.text import excerpt
from deltatune.data.readers.base import BATCH, Row
from deltatune.data.readers.files import File


class Parquet:
    def __init__(self, path: File, where: str) -> None:
        self.path, self.where = path, where

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        with self.path.seekable() as place:
            try:
                with pq.ParquetFile(place) as file:
                    yield file
            except (pa.ArrowException, OSError, OverflowError) as error:
                raise UserError(
                    f"{self.where}: {self.path} cannot be read as Parquet: "
                    f"{excerpt(str(error), 200)}; fetch or save it again, or set `format` if it is "
                    "something else"
                ) from None

    def names(self) -> list[str]:
        with self._file() as file:
            return file.schema_arrow.names

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        batches = self._batches(wanted)
        for columns in batches:
            for values in zip(*columns, strict=True):
                yield list(values)

    def _batches(self, wanted: list[str]) -> Iterator[list[list[Any]]]:
        with self._file() as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                yield [_values(batch.column(name)) for name in wanted]


def _values(column: pa.Array) -> list[Any]:
    """Python values of a Parquet column."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_float16(column.type) or pa.types.is_float32(column.type):
        # As short as they are known: 0.1, not 0.10000000149011612.
        kind = np.float16 if pa.types.is_float16(column.type) else np.float32
        return [v if v is None else float(str(kind(v))) for v in column.to_pylist()]
    try:
        values = column.to_pylist()
        return without_fillers(values) if pa.types.is_nested(column.type) else values
    except (ValueError, OverflowError, pa.ArrowException):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            raw = column.cast(pa.large_binary()).to_pylist()
            return [v if v is None else v.decode("utf-8", errors="surrogateescape") for v in raw]
        return [_value(scalar) for scalar in column]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return Unreadable()


class Unreadable:
    """In place of what Python has no value for, such as a date of the year 33,000: a column that no
    task looks at may hold anything."""
