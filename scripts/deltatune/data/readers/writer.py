"""records.parquet and rejects.csv, written as records come."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import BATCH
from deltatune.data.reasons import COLUMNS, Code, Reason

BUFFER = 64 * 2**20
"""Characters that are held in memory at once: long records make smaller batches."""


KEPT_NAME = "unusable.csv"
"""What rejects.csv is called where no record could be used: that one, an output of a stage that has
failed, is removed."""


SOURCE = "source"
"""In the metadata of records.parquet: what its source says of all records, see `about_source`."""


def about_source(records: Path) -> dict[str, dict[str, Any]]:
    """What is known of the source of records.parquet: {"splits": {split that it names: number of
    its records, unread ones included}, in their order, "classes": {field: the names of its classes,
    whose indices the records have}}, each {} where there are none."""
    kept = (pq.read_metadata(records).metadata or {}).get(SOURCE.encode())
    return {"splits": {}, "classes": {}} | (json.loads(kept) if kept else {})


def add_about(records: pa.Table, about: Mapping[str, Any]) -> pa.Table:
    """Records with what `about_source` gives; without any where there is nothing to say."""
    return records.replace_schema_metadata({SOURCE: json.dumps(about)} if about else None)


class Writer:
    """records.parquet and rejects.csv, written as records come; both removed on an error."""

    def __init__(self, write: Path, rejects: Path, fields: list[str]) -> None:
        self.write, self.rejects, self.fields = write, rejects, fields
        self.schema = pa.schema([("row", pa.int64()), *((field, pa.string()) for field in fields)])
        self.row = self.kept = self.size = 0
        self.reasons: Counter[Code] = Counter()
        self.first_reject = self.advice = ""
        self.all_rejected = rejects.with_name(KEPT_NAME)
        self._clear()

    def __enter__(self) -> Writer:
        for path in (self.write, self.rejects):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.all_rejected.unlink(missing_ok=True)
        self.parquet = pq.ParquetWriter(self.write, self.schema, compression="zstd")
        self.file = self.rejects.open("w", encoding="utf-8", newline="")
        self.csv = csv.writer(self.file, lineterminator="\n")
        self.csv.writerow(COLUMNS)
        return self

    def __exit__(self, error: type | None, *_: Any) -> None:
        self.parquet.close()
        self.file.close()
        if error is not None:
            self.write.unlink(missing_ok=True)
            if self.row and not self.kept and issubclass(error, UserError):
                self.rejects.replace(self.all_rejected)
            self.rejects.unlink(missing_ok=True)

    def _clear(self) -> None:
        self.rows: list[int] = []
        self.columns: list[list[str | None]] = [[] for _ in self.fields]
        self.size = 0

    def keep(self, texts: list[str | None]) -> None:
        self.row += 1
        self.kept += 1
        self.rows.append(self.row)
        for column, text in zip(self.columns, texts, strict=True):
            column.append(text)
            self.size += len(text) if text else 0
        if len(self.rows) >= BATCH or self.size >= BUFFER:
            self._flush()

    def reject(self, reason: Reason, value: Any) -> None:
        self.row += 1
        self.reasons[reason.code] += 1
        self.csv.writerow(reason.line(self.row, value))
        if not self.first_reject:
            field = f", `{excerpt(reason.field, 40)}`" if reason.field else ""
            self.first_reject = f"row {self.row}{field}: {reason}: {excerpt(value)}"
            self.advice = f"{reason.code.advice} ".lstrip()

    def _flush(self) -> None:
        if self.rows:
            arrays = [pa.array(self.rows, pa.int64())]
            arrays += [pa.array(column, pa.string()) for column in self.columns]
            self.parquet.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
            self._clear()

    def finish(
        self, named: str, where: str, about: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """about: what the source says of all records, see `about_source`."""
        self._flush()
        if about:
            self.parquet.add_key_value_metadata({SOURCE: json.dumps(about)})
        if self.row == 0:
            raise UserError(f"{where}: {named} holds no record; is it the right source?")
        if self.kept == 0:
            raise UserError(
                f"{where}: none of the {self.row:,} records of {named} can be used; "
                f"{self.first_reject}. {self.advice}All of them, with their reasons, are in "
                f"{self.all_rejected}"
            )
        return {
            "rows": self.row,
            "kept": self.kept,
            "rejected": self.row - self.kept,
            "reasons": dict(self.reasons.most_common()),
        }
