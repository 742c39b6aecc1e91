"""json, a list of objects, and jsonl, an object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import COLUMN_LIMIT, Rejected, Row, as_text
from deltatune.data.readers.lines import Lines, text_file
from deltatune.data.reasons import Code, Reason


class JsonLines:
    """One JSON object a line; blank lines are skipped."""

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where

    def _parse(self) -> Iterator[tuple[Any, str]]:
        """(object, line), the object None where the line is no JSON."""
        with text_file(self.path, newline="\n") as file:
            lines = Lines(file, self.path, self.where)
            while True:
                lines.begin()
                line = next(lines, None)
                if line is None:
                    return
                if not line.strip():
                    continue
                try:
                    yield json.loads(line), line
                except (ValueError, RecursionError):
                    yield None, line

    def names(self) -> list[str]:
        return _union(record for record, _ in self._parse())

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for record, line in self._parse():
            if isinstance(record, dict):
                yield [record.get(name) for name in wanted]
            else:
                broken = record is None and line.strip() != "null"
                yield Rejected(Reason(Code.NOT_JSON if broken else Code.NOT_AN_OBJECT), line)


class JsonList:
    """A list of JSON objects, loaded whole."""

    def __init__(self, path: Path, where: str) -> None:
        self.records = self._load(path, where)

    @staticmethod
    def _load(path: Path, where: str) -> list[Any]:
        text = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
        try:
            records = json.loads(text)
        except json.JSONDecodeError as error:
            hint = ""
            if error.msg == "Extra data" and text.lstrip().startswith("{"):
                hint = "; each line seems to be a record of its own: set format: jsonl"
            raise UserError(
                f"{where}: {path} is not valid JSON: {error.msg} in line {error.lineno}, "
                f"column {error.colno}{hint}"
            ) from None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where}: {path} is not valid JSON: {error}") from None
        if isinstance(records, list):
            return records
        hint = ""
        if isinstance(records, dict):
            inside = [key for key, value in records.items() if isinstance(value, list)]
            if inside:
                hint = f" (the list may be the one under '{excerpt(inside[0], 40)}')"
            elif len(text.strip().splitlines()) == 1:
                hint = " (for one object a line, set format: jsonl)"
        raise UserError(
            f"{where}: {path} must hold a list of objects, [{{...}}, ...]; it holds "
            f"one {type(records).__name__}{hint}"
        )

    def names(self) -> list[str]:
        return _union(self.records)

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for record in self.records:
            if isinstance(record, dict):
                yield [record.get(name) for name in wanted]
            else:
                yield Rejected(Reason(Code.NOT_AN_OBJECT), record)


def _union(records: Iterable[Any]) -> list[str]:
    """Keys of all records in the order of their first appearance.

    A name that cannot be written (half a surrogate pair, NUL) is left out. Data whose keys are
    values (ids, dates) would grow without end: beyond COLUMN_LIMIT no more are collected.
    """
    names: dict[str, None] = {}
    for record in records:
        if isinstance(record, dict) and len(names) <= COLUMN_LIMIT:
            names.update((key, None) for key in record if not isinstance(as_text(key), Reason))
    return list(names)
