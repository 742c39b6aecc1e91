"""Parquet, and Arrow as `save_to_disk` of datasets writes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deltatune.core.errors import UserError
from deltatune.core.nested import without_fillers
from deltatune.core.text import excerpt
from deltatune.data.readers.base import BATCH, Row
from deltatune.data.readers.files import File

Table = tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]
"""The columns of a file, and wanted columns -> its records in batches."""


class _Columns:
    """Records of a file of columns: how it is opened, and what that is called."""

    called: str
    open: Callable[[Path | Any], AbstractContextManager[Table]]

    def __init__(self, path: File, where: str) -> None:
        self.path, self.where = path, where

    @contextmanager
    def _table(self) -> Iterator[Table]:
        with self.path.seekable() as place:
            try:
                with self.open(place) as table:
                    yield table
            except (pa.ArrowException, OSError, OverflowError) as error:
                raise UserError(
                    f"{self.where}: {self.path} cannot be read as {self.called}: "
                    f"{excerpt(str(error), 200)}; fetch or save it again, or set `format` if it is "
                    "something else"
                ) from None

    @property
    def classes(self) -> dict[str, list[str]]:
        """Column -> the names of the classes whose indices it has, where datasets wrote them."""
        with self._table() as (schema, _):
            own = (schema.metadata or {}).get(b"huggingface", b"{}")
        try:
            features = json.loads(own)["info"]["features"].items()
        except (ValueError, LookupError, TypeError, AttributeError):
            return {}
        kinds = ((name, one) for name, one in features if isinstance(one, dict))
        return {name: one["names"] for name, one in kinds if one.get("_type") == "ClassLabel"}

    def names(self) -> list[str]:
        with self._table() as (schema, _):
            return schema.names

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        batches = self._batches(wanted)
        for columns in batches:
            for values in zip(*columns, strict=True):
                yield list(values)

    def _batches(self, wanted: list[str]) -> Iterator[list[list[Any]]]:
        with self._table() as (_, batches):
            for batch in batches(wanted):
                yield [_values(batch.column(name)) for name in wanted]


class Parquet(_Columns):
    called = "Parquet"

    @staticmethod
    @contextmanager
    def open(place: Path | Any) -> Iterator[Table]:
        with pq.ParquetFile(place) as file:
            yield file.schema_arrow, lambda wanted: file.iter_batches(BATCH, columns=wanted)


class Arrow(_Columns):
    """Of both forms, a stream of batches and a file with a list of them."""

    called = "Arrow"

    @staticmethod
    @contextmanager
    def open(place: Path | Any) -> Iterator[Table]:
        is_path = isinstance(place, Path)
        with pa.OSFile(str(place)) if is_path else pa.PythonFile(place, mode="r") as file:
            is_stream = file.read(6) != b"ARROW1"
            file.seek(0)
            if is_stream:
                stream = pa.ipc.open_stream(file)
                yield stream.schema, lambda _: iter(stream)
            else:
                listed = pa.ipc.open_file(file)
                numbers = range(listed.num_record_batches)
                yield listed.schema, lambda _: map(listed.get_batch, numbers)


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
