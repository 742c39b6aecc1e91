"""Records in: a file in an open format becomes records.parquet and rejects.csv.

Formats: csv, tsv, json (a list of objects), jsonl, parquet, and txt (paragraphs). A record that
cannot be read is written to rejects.csv with its reason and counted; a file that cannot be right
stops with a UserError. All but json are streamed, in batches of `BATCH` records.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data.formats import SUFFIXES
from deltatune.data.readers.base import COLUMN_LIMIT, FIELD_LIMIT, Rejected, Source, as_text
from deltatune.data.readers.delimited import Delimited
from deltatune.data.readers.json_objects import JsonLines, JsonList
from deltatune.data.readers.lines import paragraphs
from deltatune.data.readers.parquet import Parquet
from deltatune.data.readers.writer import Writer
from deltatune.data.reasons import Code, Reason
from deltatune.data.records import GROUP


def read_records(
    path: Path,
    format: str | None,
    columns: dict[str, str | list[str]],
    write: Path,
    rejects: Path,
    where: str = "datasets",
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """Stream a file of records into Parquet.

    path: the file; format: csv, tsv, json, jsonl or parquet, or None to go by the suffix.
    columns: field -> column, or several columns that are joined with a space, empty ones
    skipped. {} takes every column under its own name (a csv column without a name becomes
    column_<position>).
    write: records.parquet, `row` int64 (number of the record, from 1, rejected ones counted,
    blank lines and the header not) and one string column for each field, null where missing.
    rejects: rejects.csv, `reasons.COLUMNS`; one line for each record left out.
    where: path of the data set in config.yaml, such as "datasets.news", for messages.
    groups: columns that are kept beside those of `columns`, their names behind `records.GROUP`.

    Text stays as it is, an empty csv cell included. Integers, and floats without a fraction,
    become decimal digits; NaN and null become null. Reasons to reject a record: not UTF-8 (or half
    a surrogate pair), a NUL byte, a field of over 16 Mi characters or of another type, a wrong
    number of columns and bad quoting (csv, tsv), not JSON and not an object (json, jsonl); see
    `reasons.Code`. Only fields that are asked for are looked at.

    Returns {"rows": records seen, "kept": ..., "rejected": ..., "reasons": {code: count}}.
    Raises UserError for an unknown format, a missing column (with the near match), an unclosed
    quote, a broken or empty file, and when no record could be kept.

    Memory: a batch of records at a time, except json, which is loaded whole (use jsonl or
    parquet for large data). jsonl is read twice, since any line may bring another column.
    """
    source = _open(Path(path), format, where)
    return read_rows(source, str(path), columns, write, rejects, where, groups)


def read_rows(
    source: Source,
    named: str,
    columns: dict[str, str | list[str]],
    write: Path,
    rejects: Path,
    where: str = "datasets",
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """Stream records into Parquet. named: what messages call the source; all else as above."""
    names = source.names()
    mapping = _mapping(columns, names, named, where)
    mapping |= _kept_for_groups(groups, names, named, where)
    wanted = list(dict.fromkeys(column for group in mapping.values() for column in group))
    positions = {
        field: [wanted.index(column) for column in group] for field, group in mapping.items()
    }
    with Writer(Path(write), Path(rejects), list(mapping)) as out:
        for values in source.rows(wanted):
            if isinstance(values, Rejected):
                out.reject(*values)
                continue
            texts: list[str | None] = []
            for field, group in positions.items():
                text = _field(values, group)
                if isinstance(text, Rejected):
                    out.reject(replace(text.reason, field=field), text.value)
                    break
                texts.append(text)
            else:
                out.keep(texts)
        return out.finish(named, where)


def read_text(path: Path, write: Path, rejects: Path, where: str = "datasets") -> dict[str, Any]:
    """Stream a plain text into Parquet, one paragraph a record.

    A paragraph is a block of lines between blank lines; its line breaks stay, the white space at
    the ends of its lines does not. Writes `row` (number of the paragraph, from 1) and `text`;
    rejects paragraphs that are not UTF-8, hold a NUL byte or are too long.
    Arguments, returned counts and errors as in `read_records`.
    """
    path, write, rejects = Path(path), Path(write), Path(rejects)
    _readable(path, "txt", where)
    with Writer(write, rejects, ["text"]) as out:
        for paragraph in paragraphs(path, where):
            text = as_text(paragraph)
            if isinstance(text, Reason):
                out.reject(replace(text, field="text"), paragraph)
            else:
                out.keep([text])
        return out.finish(str(path), where)


# ---------------------------------------------------------------- values


def _field(values: list[Any], group: list[int]) -> str | Rejected | None:
    """The text of one field from its columns, None where all are missing."""
    parts = []
    for position in group:
        text = as_text(values[position])
        if isinstance(text, Reason):
            return Rejected(text, values[position])
        parts.append(text)
    if len(parts) == 1:
        return parts[0]
    given = [part for part in parts if part is not None]
    joined = " ".join(part for part in given if part.strip()) if given else None
    if joined is not None and len(joined) > FIELD_LIMIT:
        return Rejected(Reason(Code.TOO_LONG), joined)
    return joined


def _mapping(
    columns: dict[str, str | list[str]], names: list[str], named: str, where: str
) -> dict[str, list[str]]:
    """field -> columns, every one of them known to be in the file, once."""
    if not names:
        raise UserError(f"{where}: {named} has no readable record")
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


def _kept_for_groups(
    groups: Sequence[str], names: list[str], named: str, where: str
) -> dict[str, list[str]]:
    """field -> column, of columns that only a split asks for."""
    for column in groups:
        if names.count(column) > 1:
            raise UserError(
                f"{where}: split.group of its task names '{excerpt(column)}', and {named} has "
                f"{names.count(column)} columns of that name; give them names of their own"
            )
        if column not in names:
            raise UserError(
                f"{where}: split.group of its task names '{excerpt(column)}', and "
                f"{_no_column(column, names, named)}"
            )
    return {f"{GROUP}{column}": [column] for column in groups}


def _no_column(column: str, names: list[str], named: str) -> str:
    listed = ", ".join(excerpt(name, 40) for name in names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    message = (
        f"{named} has no column '{column}'{did_you_mean(column, names)}; "
        f"its columns are: {listed}{more}"
    )
    delimiters = [c for c in ";\t|," if len(names) == 1 and c in names[0]]
    if delimiters:
        called = {"\t": "tabs (format: tsv)", ",": "commas (format: csv)"}.get(
            delimiters[0], f"'{delimiters[0]}': save it with commas"
        )
        message += f". They seem to be separated by {called}"
    return message


# ---------------------------------------------------------------- files


def _open(path: Path, format: str | None, where: str) -> Source:
    kind = format or SUFFIXES.get(path.suffix.lower())
    sources = {
        "csv": lambda: Delimited(path, ",", where),
        "tsv": lambda: Delimited(path, "\t", where),
        "json": lambda: JsonList(path, where),
        "jsonl": lambda: JsonLines(path, where),
        "parquet": lambda: Parquet(path, where),
    }
    if kind not in sources:
        given = f"'{format}'" if format else f"the suffix '{path.suffix}' of {path}"
        text = " A plain text is read with `format: txt`." if format is None else ""
        raise UserError(
            f"{where}.format: {given} is not a known format; use one of {', '.join(sources)}.{text}"
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
    for signature, what in (
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
        (b"\xfe\xff", "is UTF-16; save it as UTF-8"),
        (b"\x1f\x8b", "is compressed; unpack it first"),
        (b"PK\x03\x04", "is a zip archive or a spreadsheet; unpack it, or save it as csv"),
        (b"PAR1", "is Parquet; set format: parquet"),
    ):
        if head.startswith(signature):
            raise UserError(f"{where}: {path} {what}")
    if kind != "txt" and head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UserError(f"{where}: {path} is a web page, not {kind}; is the URL right?")
