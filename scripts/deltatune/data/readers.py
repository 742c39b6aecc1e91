"""Records in: a file in an open format becomes records.parquet and rejects.csv.

Formats: csv, tsv, json (a list of objects), jsonl, parquet, and txt (paragraphs). A record that
cannot be read is written to rejects.csv with its reason and counted; a file that cannot be right
stops with a UserError. All but json are streamed, in batches of `BATCH` records.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data.formats import SUFFIXES
from deltatune.data.rejects import COLUMNS

BATCH = 10_000
"""Records that are held in memory at once."""
BUFFER = 64 * 2**20
"""Characters that are held in memory at once: long records make smaller batches."""
FIELD_LIMIT = 16 * 2**20
"""Characters of the longest field that is kept."""
RECORD_LIMIT = 256 * 2**20
"""Characters of one record (csv, tsv) or line (jsonl, txt) at which reading stops."""
RECORD_LINES = 10_000
"""Lines of one csv record at which an unclosed quote is taken for certain."""
BAD_QUOTE_LINES = 100
"""Lines that one badly quoted csv record may take with it before reading stops."""
COLUMN_LIMIT = 1_000
"""Columns that are taken when `columns` names none."""

# surrogateescape turns a byte that is not UTF-8 into one of these; JSON can also spell them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")

Row = tuple[list[Any] | None, str, Any]
"""Values in the order of the wanted columns and "", or None, a reason and what to show of it."""


def read_records(
    path: Path,
    format: str | None,
    columns: dict[str, str | list[str]],
    write: Path,
    rejects: Path,
    where: str = "datasets",
) -> dict[str, Any]:
    """Stream a file of records into Parquet.

    path: the file; format: csv, tsv, json, jsonl or parquet, or None to go by the suffix.
    columns: field -> column, or several columns that are joined with a space, empty ones
    skipped. {} takes every column under its own name (a csv column without a name becomes
    column_<position>).
    write: records.parquet, `row` int64 (number of the record, from 1, rejected ones counted,
    blank lines and the header not) and one string column for each field, null where missing.
    rejects: rejects.csv, row, field, reason, excerpt; one line for each record left out.
    where: path of the data set in config.yaml, such as "datasets.news", for messages.

    Text stays as it is, an empty csv cell included. Integers, and floats without a fraction,
    become decimal digits; NaN and null become null. Reasons to reject a record: "not UTF-8"
    (or half a surrogate pair), "NUL byte", "field too long" (over 16 Mi characters), "wrong type
    (...)", "wrong number of columns" and "bad quoting" (csv, tsv), "not JSON" and "not an
    object" (json, jsonl). Only fields that are asked for are looked at.

    Returns {"rows": records seen, "kept": ..., "rejected": ..., "reasons": {reason: count}}.
    Raises UserError for an unknown format, a missing column (with the near match), an unclosed
    quote, a broken or empty file, and when no record could be kept.

    Memory: a batch of records at a time, except json, which is loaded whole (use jsonl or
    parquet for large data). jsonl is read twice, since any line may bring another column.
    """
    source = _open(Path(path), format, where)
    return read_rows(source, str(path), columns, write, rejects, where)


class Source(Protocol):
    """Records of any origin."""

    def names(self) -> list[str]:
        """The columns."""

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        """All records in order, each with the values of these columns or why there are none."""


def read_rows(
    source: Source,
    named: str,
    columns: dict[str, str | list[str]],
    write: Path,
    rejects: Path,
    where: str = "datasets",
) -> dict[str, Any]:
    """Stream records into Parquet. named: what messages call the source; all else as above."""
    names = source.names()
    mapping = _mapping(columns, names, named, where)
    wanted = list(dict.fromkeys(column for group in mapping.values() for column in group))
    positions = {
        field: [wanted.index(column) for column in group] for field, group in mapping.items()
    }
    with _Writer(Path(write), Path(rejects), list(mapping)) as out:
        for values, reason, shown in source.rows(wanted):
            if values is None:
                out.reject("", reason, shown)
                continue
            texts: list[str | None] = []
            for field, group in positions.items():
                text, reason, shown = _field(values, group)
                if reason:
                    out.reject(field, reason, shown)
                    break
                texts.append(text)
            else:
                out.keep(texts)
        return out.finish(named, where)


def read_text(path: Path, write: Path, rejects: Path, where: str = "datasets") -> dict[str, Any]:
    """Stream a plain text into Parquet, one paragraph a record.

    A paragraph is a block of lines between blank lines; its line breaks stay, the white space at
    the ends of its lines does not. Writes `row` (number of the paragraph, from 1) and `text`;
    rejects paragraphs that are "not UTF-8", hold a "NUL byte" or are a "field too long".
    Arguments, returned counts and errors as in `read_records`.
    """
    path, write, rejects = Path(path), Path(write), Path(rejects)
    _readable(path, "txt", where)
    with _Writer(write, rejects, ["text"]) as out:
        for paragraph in _paragraphs(path, where):
            text, reason = _as_text(paragraph)
            if reason:
                out.reject("text", reason, paragraph)
            else:
                out.keep([text])
        return out.finish(str(path), where)


# ---------------------------------------------------------------- values


def _field(values: list[Any], group: list[int]) -> tuple[str | None, str, Any]:
    """The text of one field from its columns: (text, "", None) or (None, reason, value)."""
    parts = []
    for position in group:
        text, reason = _as_text(values[position])
        if reason:
            return None, reason, values[position]
        parts.append(text)
    if len(parts) == 1:
        return parts[0], "", None
    given = [part for part in parts if part is not None]
    joined = " ".join(part for part in given if part.strip()) if given else None
    if joined is not None and len(joined) > FIELD_LIMIT:
        return None, "field too long", joined
    return joined, "", None


def _as_text(value: Any) -> tuple[str | None, str]:
    """(text or None for missing, reason to reject or "")."""
    if value is None:
        return None, ""
    kind = type(value)
    if kind is str:
        if len(value) > FIELD_LIMIT:
            return None, "field too long"
        if "\0" in value:
            return None, "NUL byte"
        if not value.isascii() and _SURROGATE.search(value):
            return None, "not UTF-8"
        return value, ""
    if kind is int:
        return str(value), ""
    if kind is float:
        if value != value:
            return None, ""
        if value.is_integer():
            return str(int(value)), ""
    return None, f"wrong type ({kind.__name__})"


def _mapping(
    columns: dict[str, str | list[str]], names: list[str], named: str, where: str
) -> dict[str, list[str]]:
    """field -> columns, every one of them known to be in the file, once."""
    if not names:
        raise UserError(f"{where}: {named} holds no record that can be read")
    where = f"{where}.columns"
    if not columns and len(names) > COLUMN_LIMIT:
        raise UserError(
            f"{where}: {named} has more than {COLUMN_LIMIT} columns; name the ones to read"
        )
    mapping: dict[str, list[str]] = {}
    for field, group in (columns or {name: name for name in names}).items():
        mapping[field] = [group] if isinstance(group, str) else list(group)
        if not mapping[field]:
            raise UserError(f"{where}.{field}: name at least one column of {named}")
        if field == "row":
            raise UserError(
                f"{where}: a field cannot be called 'row', which is the number of the record; "
                "map the columns that you need, the column 'row' to a field of another name"
            )
        for column in mapping[field]:
            if names.count(column) > 1:
                raise UserError(
                    f"{where}.{field}: {named} has {names.count(column)} columns called "
                    f"'{excerpt(column)}'; give them names of their own"
                )
            if column not in names:
                raise UserError(f"{where}.{field}: {_no_column(column, names, named)}")
    return mapping


def _no_column(column: str, names: list[str], named: str) -> str:
    listed = ", ".join(excerpt(name, 40) for name in names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    message = (
        f"{named} has no column '{column}'{did_you_mean(column, names)}; "
        f"its columns are: {listed}{more}"
    )
    other = [mark for mark in ";\t|," if len(names) == 1 and mark in names[0]]
    if other:
        called = {"\t": "tabs (format: tsv)", ",": "commas (format: csv)"}.get(
            other[0], f"'{other[0]}': save it with commas"
        )
        message += f". They seem to be separated by {called}"
    return message


# ---------------------------------------------------------------- files


def _open(path: Path, format: str | None, where: str) -> Any:
    kind = format or SUFFIXES.get(path.suffix.lower())
    sources = {
        "csv": lambda: _Delimited(path, ",", where),
        "tsv": lambda: _Delimited(path, "\t", where),
        "json": lambda: _JsonList(path, where),
        "jsonl": lambda: _JsonLines(path, where),
        "parquet": lambda: _Parquet(path, where),
    }
    if kind not in sources:
        told = f"'{format}'" if format else f"the suffix '{path.suffix}' of {path}"
        text = " A plain text is read with `format: txt`." if format is None else ""
        raise UserError(
            f"{where}.format: {told} is no known format of records; "
            f"give one of {', '.join(sources)}.{text}"
        )
    _readable(path, kind, where)
    return sources[kind]()


def _readable(path: Path, kind: str, where: str) -> None:
    """Refuse what is no file, and what its first bytes show to be something else."""
    if path.is_dir():
        raise UserError(f"{where}: {path} is a folder; give one file")
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise UserError(f"{where}: {path} cannot be read: {error.strerror}") from None
    if not head.strip():
        raise UserError(f"{where}: {path} holds no record")
    if kind == "parquet":
        return
    for mark, what in (
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
        (b"\xfe\xff", "is UTF-16; save it as UTF-8"),
        (b"\x1f\x8b", "is compressed; unpack it first"),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet; unpack it, or save it as csv"),
        (b"PAR1", "is Parquet; set format: parquet"),
    ):
        if head.startswith(mark):
            raise UserError(f"{where}: {path} {what}")
    if kind != "txt" and head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UserError(f"{where}: {path} is a web page, not {kind}; was the address right?")


@contextmanager
def _text_file(path: Path, newline: str | None) -> Iterator[TextIO]:
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline=newline) as file:
        yield file


class _Lines:
    """Lines of a text file, with a limit on what one record may take of them."""

    def __init__(self, file: TextIO, path: Path, where: str) -> None:
        self.file, self.path, self.where = file, path, where
        self.number = 0  # lines read so far
        self.row = 0  # records begun so far; 0 is the header
        self.ended = False
        self.begin()

    def begin(self) -> None:
        """A record begins with the next line."""
        self.first, self.characters, self.head = self.number + 1, 0, ""

    @property
    def span(self) -> int:
        return self.number - self.first + 1

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.file.readline(RECORD_LIMIT + 1)
        if not line:
            self.ended = True
            raise StopIteration
        self.number += 1
        self.characters += len(line)
        self.head = self.head or line[:400]
        if self.span > RECORD_LINES:
            raise self.unclosed(f"has not ended after {RECORD_LINES:,} lines")
        if self.characters > RECORD_LIMIT:
            raise UserError(
                f"{self.where}: the record that begins in line {self.first:,} of {self.path} "
                f"is longer than {RECORD_LIMIT // 2**20} MiB; is the format right?"
            )
        return line

    def unclosed(self, how: str) -> UserError:
        name = f"row {self.row:,}" if self.row else "the header"
        return UserError(
            f"{self.where}: {self.path}: {name}, which begins in line {self.first:,}, {how}: "
            "a quotation mark seems never to be closed. Close it, or double it if it belongs to "
            f"the text. The line begins: {excerpt(self.head)}"
        )


class _Delimited:
    """csv and tsv, quoted as RFC 4180 says; the first line holds the names of the columns."""

    def __init__(self, path: Path, delimiter: str, where: str) -> None:
        self.path, self.delimiter, self.where = path, delimiter, where

    def _parse(self) -> Iterator[tuple[list[str] | None, str, Any]]:
        """All records, the header first."""
        # Our own limit is on characters and rejects one record; csv's would stop the file.
        limit = csv.field_size_limit(2**31 - 1)
        try:
            with _text_file(self.path, newline="") as file:
                lines = _Lines(file, self.path, self.where)
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                while True:
                    lines.begin()
                    try:
                        values = next(reader)
                    except StopIteration:
                        return
                    except csv.Error:
                        if lines.ended:
                            raise lines.unclosed("reaches the end of the file") from None
                        if lines.span > BAD_QUOTE_LINES:
                            raise lines.unclosed(f"runs over {lines.span:,} lines") from None
                        taken = f"lines {lines.first}-{lines.number}: " if lines.span > 1 else ""
                        yield None, "bad quoting", taken + lines.head
                    else:
                        if not values:  # a blank line
                            continue
                        yield values, "", None
                    lines.row += 1
        finally:
            csv.field_size_limit(limit)

    def names(self) -> list[str]:
        records = self._parse()
        header, _, shown = next(records, (None, "", ""))
        records.close()
        if header is None:
            raise UserError(
                f"{self.where}: the header of {self.path} is badly quoted or missing: "
                f"{excerpt(shown)}"
            )
        header = [name.strip() or f"column_{i}" for i, name in enumerate(header, 1)]
        for name in header:
            if _as_text(name)[1]:
                raise UserError(
                    f"{self.where}: the name of column {header.index(name) + 1} in "
                    f"{self.path} is no readable text: {excerpt(name)}"
                )
        return header

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        header = self.names()
        places = [header.index(name) for name in wanted]
        records = self._parse()
        next(records)
        for values, reason, shown in records:
            if values is None:
                yield None, reason, shown
            elif len(values) != len(header):
                beginning = self.delimiter.join(value[:200] for value in values[:200])
                yield None, "wrong number of columns", beginning
            else:
                yield [values[place] for place in places], "", None


class _JsonLines:
    """One JSON object a line; blank lines are skipped."""

    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where

    def _parse(self) -> Iterator[tuple[Any, str]]:
        """(object, line), the object None where the line is no JSON."""
        with _text_file(self.path, newline="\n") as file:
            lines = _Lines(file, self.path, self.where)
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
                yield [record.get(name) for name in wanted], "", None
            else:
                null = record is None and line.strip() != "null"
                yield None, "not JSON" if null else "not an object", line


class _JsonList:
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
                yield [record.get(name) for name in wanted], "", None
            else:
                yield None, "not an object", record


def _union(records: Iterable[Any]) -> list[str]:
    """Keys of all records in the order of their first appearance.

    A name that cannot be written (half a surrogate pair, NUL) is left out. Data whose keys are
    values (ids, dates) would grow without end: beyond COLUMN_LIMIT no more are collected.
    """
    names: dict[str, None] = {}
    for record in records:
        if isinstance(record, dict) and len(names) <= COLUMN_LIMIT:
            names.update((key, None) for key in record if not _as_text(key)[1])
    return list(names)


class _Parquet:
    def __init__(self, path: Path, where: str) -> None:
        self.path, self.where = path, where

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            with pq.ParquetFile(self.path) as file:
                yield file
        except (pa.ArrowException, OSError, OverflowError) as error:
            raise UserError(
                f"{self.where}: {self.path} cannot be read as Parquet: {excerpt(str(error), 200)}"
            ) from None

    def names(self) -> list[str]:
        with self._file() as file:
            return file.schema_arrow.names

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        batches = self._batches(wanted)
        for columns in batches:
            for values in zip(*columns, strict=True):
                yield list(values), "", None

    def _batches(self, wanted: list[str]) -> Iterator[list[list[Any]]]:
        with self._file() as file:
            for batch in file.iter_batches(batch_size=BATCH, columns=wanted):
                yield [_values(batch.column(name)) for name in wanted]


def _values(column: pa.Array) -> list[Any]:
    """Python values of a Parquet column."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.to_pylist()
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary()).to_pylist()
        return [v if v is None else v.decode("utf-8", errors="surrogateescape") for v in raw]


def _paragraphs(path: Path, where: str) -> Iterator[str]:
    lines: list[str] = []
    with _text_file(path, newline=None) as file:
        source = _Lines(file, path, where)
        while True:
            if not lines:
                source.begin()
            else:
                # Many lines are no sign of an unclosed quote here: only the length counts.
                source.first = source.number + 1
            line = next(source, None)
            if line is None or not line.strip():
                if lines:
                    yield "\n".join(lines)
                    lines = []
                if line is None:
                    return
            else:
                lines.append(line.rstrip())


# ---------------------------------------------------------------- output


class _Writer:
    """records.parquet and rejects.csv, written as records come; both removed on an error."""

    def __init__(self, write: Path, rejects: Path, fields: list[str]) -> None:
        self.write, self.rejects, self.fields = write, rejects, fields
        self.schema = pa.schema([("row", pa.int64()), *((field, pa.string()) for field in fields)])
        self.row = self.kept = self.size = 0
        self.reasons: Counter[str] = Counter()
        self.first_reject = ""
        self._clear()

    def __enter__(self) -> _Writer:
        for path in (self.write, self.rejects):
            path.parent.mkdir(parents=True, exist_ok=True)
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

    def reject(self, field: str, reason: str, shown: Any) -> None:
        self.row += 1
        self.reasons[reason] += 1
        self.csv.writerow([self.row, field, reason, excerpt(shown)])
        self.first_reject = self.first_reject or f"row {self.row}: {reason}: {excerpt(shown)}"

    def _flush(self) -> None:
        if self.rows:
            arrays = [pa.array(self.rows, pa.int64())]
            arrays += [pa.array(column, pa.string()) for column in self.columns]
            self.parquet.write_table(pa.Table.from_arrays(arrays, schema=self.schema))
            self._clear()

    def finish(self, named: str, where: str) -> dict[str, Any]:
        self._flush()
        if self.row == 0:
            raise UserError(f"{where}: {named} holds no record")
        if self.kept == 0:
            raise UserError(
                f"{where}: none of the {self.row:,} records of {named} can be used; "
                f"{self.first_reject}"
            )
        return {
            "rows": self.row,
            "kept": self.kept,
            "rejected": self.row - self.kept,
            "reasons": dict(self.reasons.most_common()),
        }
