"""JSON: an object a line, a list of objects, or columns, whatever the suffix of the file says."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.readers.base import COLUMN_LIMIT, Rejected, Row, Source
from deltatune.data.readers.files import File
from deltatune.data.readers.lines import Lines, text_file
from deltatune.data.readers.values import as_text
from deltatune.data.reasons import Code, Reason

HEAD = 2**20
"""Characters by which the form of a file is recognized."""

# A second object behind another, where each is printed over many lines.
_ANOTHER = re.compile(r"^\},?\s+\{\s*$", re.MULTILINE)
# A comma before a closing bracket, or a string, in which there may be one too.
_COMMA_TOO_MANY = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[\]}])')


class RepeatedName(ValueError):
    """An object has two values of one name, of which JSON does not say which counts."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.name = next(name for name, count in Counter(n for n, _ in pairs).items() if count > 1)
        shown = excerpt(json.dumps(dict(pairs), ensure_ascii=False))
        super().__init__(f"an object has the name '{excerpt(self.name, 40)}' twice: {shown}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise RepeatedName(pairs)
    return names


_parsed = json.JSONDecoder(object_pairs_hook=_object).decode


def open_json(path: File, format: str, where: str) -> Source:
    """The records of a file. format: "json" or "jsonl", which decides where a file is broken."""
    with text_file(path, newline="\n") as file:
        head = file.read(HEAD)
    line, *others = head.strip().split("\n", 2)
    is_cut = not others and len(head) == HEAD
    if line.startswith("{") and (format == "jsonl" if is_cut else _loaded(line) is not None):
        # One object alone is a record of jsonl; of json it holds them.
        if others or format == "jsonl":
            return JsonLines(path, where)
    elif line.strip() == "{" and _ANOTHER.search(head):
        return PrettyObjects(path, where)
    if format == "json":
        return JsonList(path, where)
    is_list = line.startswith("[") and not (others and isinstance(_loaded(line), list))
    if is_list or line.strip() == "{":
        try:
            return JsonList(path, where)
        except UserError:
            pass  # some of it may be read line by line
    return JsonLines(path, where)


def _loaded(line: str) -> Any:
    """The value of a line, a comma behind it or not; None where it is no JSON, and the error where
    a name is repeated."""
    for text in (line, line.strip().removesuffix(",")):
        try:
            return _parsed(text)
        except RepeatedName as error:
            return error
        except (ValueError, RecursionError):
            pass
    return None


class JsonLines:
    """One JSON object a line; blank lines are skipped, and the brackets of a list around them."""

    def __init__(self, path: File, where: str) -> None:
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
                if line.strip() not in ("", "[", "]"):
                    yield _loaded(line), line

    def names(self) -> list[str]:
        return _union(record for record, _ in self._parse())

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for record, line in self._parse():
            if isinstance(record, dict):
                yield [record.get(name) for name in wanted]
            elif isinstance(record, RepeatedName):
                yield Rejected(Reason(Code.REPEATED_NAME, value=excerpt(record.name, 40)), line)
            else:
                broken = record is None and line.strip() != "null"
                yield Rejected(Reason(Code.NOT_JSON if broken else Code.NOT_AN_OBJECT), line)


class PrettyObjects(JsonLines):
    """Objects one after the other, each over many lines: from "{" to "}" in the leftmost column."""

    def _parse(self) -> Iterator[tuple[Any, str]]:
        with text_file(self.path, newline="\n") as file:
            lines = Lines(file, self.path, self.where)
            taken: list[str] = []
            while True:
                if taken:
                    lines.first_line = lines.number + 1  # the length alone is limited
                else:
                    lines.begin()
                line = next(lines, None)
                if line is not None and (taken or line.strip() not in ("", "[", "]")):
                    taken.append(line)
                if taken and (line is None or line.startswith("}")):
                    text = "".join(taken)
                    yield _loaded(text), text
                    taken = []
                if line is None:
                    return


class JsonList:
    """A list of JSON objects, or columns of equal length, loaded whole."""

    def __init__(self, path: File, where: str) -> None:
        with text_file(path, newline="") as file:
            text = file.read()
        self.records = _records(_whole(text, path, where), text, path, where)

    def names(self) -> list[str]:
        return _union(self.records)

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for record in self.records:
            if isinstance(record, dict):
                yield [record.get(name) for name in wanted]
            else:
                yield Rejected(Reason(Code.NOT_AN_OBJECT), record)


def _whole(text: str, path: File, where: str) -> Any:
    try:
        return _parsed(text)
    except RepeatedName as error:
        raise UserError(f"{where}: {path}: {error}; which one counts? Remove the other") from None
    except (ValueError, RecursionError) as error:
        try:
            return _parsed(_COMMA_TOO_MANY.sub(r"\1", text))
        except (ValueError, RecursionError):
            pass
        place = ""
        if isinstance(error, json.JSONDecodeError):
            place = f" in line {error.lineno}, column {error.colno}"
            if error.msg == "Extra data" and text.lstrip().startswith("{"):
                place += "; each line seems to be a record of its own: set format: jsonl"
        message = getattr(error, "msg", str(error))
        raise UserError(f"{where}: {path} is not valid JSON: {message}{place}") from None


def _records(content: Any, text: str, path: File, where: str) -> list[Any]:
    """The records of a list, of columns, or of the one list or table inside an object."""
    if isinstance(content, list):
        return content
    hint = ""
    if isinstance(content, dict) and content:
        if isinstance(content.get("columns"), list) and isinstance(content.get("data"), list):
            # pandas, orient="split"
            names = [str(name) for name in content["columns"]]
            return [_named(names, values) for values in content["data"]]
        values = list(content.values())
        if all(isinstance(value, dict) for value in values):
            return _of_table(content)
        lists = {key: value for key, value in content.items() if isinstance(value, list)}
        are_columns = len(lists) == len(content) and len({len(value) for value in values}) == 1
        tables = [value for value in lists.values() if value and isinstance(value[0], dict)]
        if len(tables) == 1 and not (are_columns and min(len(lists), len(tables[0])) > 1):
            return tables[0]
        if are_columns:
            return [dict(zip(content, row, strict=True)) for row in zip(*values, strict=True)]
        if len(lists) == len(content) and not tables:
            lengths = ", ".join(f"{excerpt(key, 40)} {len(its):,}" for key, its in lists.items())
            hint = f" of columns that differ in length ({excerpt(lengths, 200)})"
        elif lists:
            keys = " or ".join(f"'{excerpt(key, 40)}'" for key in list(lists)[:3])
            hint = (
                f"; save the list with the records, maybe that under {keys}, as a file of its own"
            )
        elif len(text.strip().splitlines()) == 1:
            hint = " (for one object a line, set format: jsonl)"
    raise UserError(
        f"{where}: {path} must hold a list of objects, [{{...}}, ...], or columns of equal length, "
        f"{{name: [...], ...}}; it holds one {type(content).__name__}{hint}"
    )


def _named(names: list[str], values: Any) -> Any:
    fits = isinstance(values, list) and len(values) == len(names)
    return dict(zip(names, values, strict=True)) if fits else values


def _of_table(content: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Records of {column: {index: value}}, as pandas writes by default, or, where the outer keys
    are numbers and the inner ones are not, of {index: {column: value}}."""
    inner = next(iter(content.values()))
    if all(key.isdecimal() for key in content) and not all(key.isdecimal() for key in inner):
        return list(content.values())
    indices = dict.fromkeys(index for column in content.values() for index in column)
    return [{name: column.get(index) for name, column in content.items()} for index in indices]


def _union(records: Iterable[Any]) -> list[str]:
    """Keys of all records in the order of their line appearance.

    A name that cannot be written (half a surrogate pair, NUL) is left out. Data whose keys are
    values (ids, dates) would grow without end: beyond COLUMN_LIMIT no more are collected.
    """
    names: dict[str, None] = {}
    for record in records:
        if isinstance(record, dict) and len(names) <= COLUMN_LIMIT:
            names.update((key, None) for key in record if not isinstance(as_text(key), Reason))
    return list(names)
