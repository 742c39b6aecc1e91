"""Records in: a file in an open format becomes records.parquet and rejects.csv.

Formats: csv, tsv, json, jsonl, parquet, arrow, xlsx, and txt (paragraphs). A record that
cannot be read is written to rejects.csv with its reason and counted; a file that cannot be right
stops with a UserError. All but json are streamed, in batches of `BATCH` records.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.formats import SUFFIXES
from deltatune.data.readers import fields, preferences
from deltatune.data.readers.base import Rejected, Source
from deltatune.data.readers.delimited import Delimited
from deltatune.data.readers.files import File, labels, left_out, members, named_like_splits
from deltatune.data.readers.joined import Joined
from deltatune.data.readers.json_objects import open_json
from deltatune.data.readers.lines import paragraphs
from deltatune.data.readers.parquet import Arrow, Parquet
from deltatune.data.readers.spreadsheet import Spreadsheet
from deltatune.data.readers.values import as_text
from deltatune.data.readers.writer import Writer
from deltatune.data.reasons import Reason
from deltatune.data.records import GIVEN, GROUP


def read_records(
    paths: Path | Sequence[Path],
    format: str | None,
    columns: fields.Columns,
    write: Path,
    rejects: Path,
    where: str = "datasets",
    groups: Sequence[str] = (),
    used: Collection[str] = (),
    splits: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Stream a file of records into Parquet.

    paths: the file, or several, whose records follow each other; each may be compressed (gzip,
    bzip2, xz, zstd), or a zip archive of files. format: csv, tsv, json, jsonl, parquet, arrow or
    xlsx, or None to go by the suffix of each.
    columns: field -> column, several columns that are joined with a space (empty ones skipped), a
    dotted path to a value inside one, or a template with such names in braces. {} takes every
    column under its own name (a csv column without a name becomes column_<position>).
    write: records.parquet, `row` int64 (number of the record, from 1, rejected ones counted,
    blank lines and the header not) and one string column for each field, null where missing.
    rejects: rejects.csv, `reasons.COLUMNS`; one line for each record left out.
    where: path of the data set in config.yaml, such as "datasets.news", for messages.
    groups: columns that are kept beside those of `columns`, their names behind `records.GROUP`.
    used: fields that tasks look at, () for all of them. In another one a value that has no text
    is null and rejects nothing. splits: of each path, the split that its records are, which is then
    in the field `records.GIVEN`; the number of records of each is in the metadata of the file.

    Text stays as it is, an empty csv cell included; other values become text as `values.as_text`
    says. Reasons to reject a record: not UTF-8 (or half a surrogate pair), a NUL byte, a field of
    over 16 Mi characters, a list or an object, a wrong number of columns and bad quoting (csv,
    tsv), not JSON and not an object (json, jsonl); see `reasons.Code`.

    Returns {"rows": records seen, "kept": ..., "rejected": ..., "reasons": {code: count}}, and
    where there is something to say of it "notes": [sentences].
    Raises UserError for an unknown format, a missing column (with the near match), an unclosed
    quote, a broken or empty file, and when no record could be kept.

    Memory: a batch of records at a time, except json, which is loaded whole (use jsonl or
    parquet for large data). jsonl is read twice, since any line may bring another column.
    """
    chosen = [Path(paths)] if isinstance(paths, str | Path) else list(paths)
    inside = [members(Path(path), where) for path in chosen]
    files = [file for group in inside for file in group]
    named = str(files[0]) if len(files) == 1 else f"{files[0]} and {len(files) - 1} more"

    def opened(file: File) -> Source:
        return _open(file, format, where)

    of_files = (
        [split for split, group in zip(splits, inside, strict=True) for _ in group]
        if splits
        else None
    )
    source = Joined(files, opened, of_files) if len(files) > 1 else opened(files[0])
    facts = read_rows(source, named, columns, write, rejects, where, groups, used)
    called = [] if splits else named_like_splits(files)
    return _with_notes(facts, [*left_out(list(map(Path, chosen)), where), *called])


def read_rows(
    source: Source,
    named: str,
    columns: fields.Columns,
    write: Path,
    rejects: Path,
    where: str = "datasets",
    groups: Sequence[str] = (),
    used: Collection[str] = (),
) -> dict[str, Any]:
    """Stream records into Parquet. named: what messages call the source; all else as above.

    A source that names splits has a true `splits`, and in its `facts` the records of each; one that
    knows the names of classes whose indices stand in its columns has them in `classes`.
    """
    mapping = _mapping(source, columns, named, where, groups, used)
    wanted = list(dict.fromkeys(column for field in mapping for column in field.columns))
    looked_at = {f.name for f in mapping if not used or f.name in used or f.name.startswith(GROUP)}
    # Most fields are a column as it is.
    plans = [(f, wanted.index(f.columns[0]) if f.is_column else None) for f in mapping]
    read = {column for field in mapping if field.name in looked_at for column in field.columns}
    types: dict[str, Counter[str]] = {}
    # A path may lead nowhere, and a field without values may be one that a record can lack.
    empty = {field.name: None for field, position in plans if position is None}
    with Writer(Path(write), Path(rejects), [field.name for field in mapping]) as out:
        for values in preferences.desirable(source, wanted, read):
            if isinstance(values, Rejected):
                out.reject(*values)
                continue
            texts: list[str | None] = []
            for field, position in plans:
                if position is None:
                    text = field.text(dict(zip(wanted, values, strict=True)))
                    value = values[wanted.index(field.columns[0])]
                    if text is not None:
                        empty.pop(field.name, None)
                else:
                    value = values[position]
                    text = field.of_value(value)
                if isinstance(text, Reason):
                    if field.name in looked_at:
                        out.reject(replace(text, field=field.name), value)
                        break
                    text = None
                elif position is not None and (kind := field.converted(value)):
                    types.setdefault(field.name, Counter())[kind] += 1
                texts.append(text)
            else:
                out.keep(texts)
        own = getattr(source, "facts", {})
        known = getattr(source, "classes", {})
        classes = {f.name: known[f.columns[0]] for f, _ in plans if _is_of(f, known)}
        about = {"splits": own.get("splits", {}), "classes": classes}
        facts = out.finish(named, where, {key: part for key, part in about.items() if part})
    own = own | ({"classes": classes} if classes else {})
    notes = [*getattr(source, "notes", []), *_notes(mapping, types, looked_at)]
    notes += [f"`{excerpt(name, 40)}`: no record has a value there" for name in empty]
    return facts | own | ({"notes": notes} if notes else {})


def _mapping(
    source: Source,
    columns: fields.Columns,
    named: str,
    where: str,
    groups: Sequence[str],
    used: Collection[str],
) -> list[fields.Field]:
    """The fields of the records: arguments as in `read_rows`."""
    names = source.names()
    if not names:
        raise UserError(f"{where}: {named} has no readable record{_first_rejected(source)}")
    mapping = fields.mapped(columns, names, named, where, used)
    if not columns:
        mapping = preferences.with_chosen(mapping, names, used)
    mapping += fields.of_groups(groups, names, named, where)
    if getattr(source, "splits", None):
        mapping.append(fields.Field(GIVEN, (fields.Place(GIVEN),)))
    return mapping


def _first_rejected(source: Source) -> str:
    """Why the first record of a source without any is none; "" where it has no row at all."""
    row = next(iter(source.rows([])), None)
    if not isinstance(row, Rejected):
        return ""
    return f"; row 1: {row.reason}: {excerpt(row.value)}. {row.reason.code.advice}".rstrip()


def read_text(
    paths: Path | Sequence[Path], write: Path, rejects: Path, where: str = "datasets"
) -> dict[str, Any]:
    """Stream a plain text into Parquet, one paragraph a record.

    A paragraph is a block of lines between blank lines; its line breaks stay, the white space at
    the ends of its lines does not. Writes `row` (number of the paragraph, from 1) and `text`;
    rejects paragraphs that are not UTF-8, hold a NUL byte or are too long.
    Of several files each is a document by itself, and `document` its name.
    Arguments, returned counts and errors as in `read_records`.
    """
    files = _files(paths, where)
    for file in files:
        _readable(file, "txt", where)
    documents = labels(files) if len(files) > 1 else None
    rows: dict[str, int] = {}
    with Writer(Path(write), Path(rejects), ["text", *(["document"] if documents else [])]) as out:
        for number, file in enumerate(files):
            document = [documents[number]] if documents else []
            before = out.row
            for paragraph in paragraphs(file, where):
                text = as_text(paragraph)
                if isinstance(text, Reason):
                    out.reject(replace(text, field="text"), paragraph)
                else:
                    out.keep([text, *document])
            rows |= {name: out.row - before for name in document}
        facts = out.finish(str(files[0]) if len(files) == 1 else f"{len(files)} files", where)
    facts |= {"files": rows} if documents else {}
    chosen = [paths] if isinstance(paths, str | Path) else paths
    return _with_notes(facts, left_out(list(map(Path, chosen)), where))


def _with_notes(facts: dict[str, Any], notes: Sequence[str]) -> dict[str, Any]:
    """Facts with more notes, before their own."""
    return facts | ({"notes": [*notes, *facts.get("notes", [])]} if notes else {})


def _is_of(field: fields.Field, columns: Collection[str]) -> bool:
    return field.is_column and field.columns[0] in columns


def _notes(
    mapping: Sequence[fields.Field], types: dict[str, Counter[str]], looked_at: Collection[str]
) -> list[str]:
    """What was understood of the records beyond what config.yaml says."""
    notes = [
        f"the column '{excerpt(column)}' is taken for `{field}`"
        for field, column in fields.renamed(mapping).items()
    ] + preferences.notes(mapping)
    for field, counts in types.items():
        if field in looked_at:
            listed = ", ".join(f"{count:,} of type {kind}" for kind, count in counts.most_common())
            notes.append(f"`{excerpt(field.removeprefix(GROUP))}`: {listed} read as text")
    return notes


# ---------------------------------------------------------------- files


def _files(paths: Path | Sequence[Path], where: str) -> list[File]:
    chosen = [paths] if isinstance(paths, str | Path) else paths
    return [file for path in chosen for file in members(Path(path), where)]


def _open(file: File, format: str | None, where: str) -> Source:
    kind = format or SUFFIXES.get(file.suffix)
    sources = {
        "csv": lambda: Delimited(file, ",", where),
        "tsv": lambda: Delimited(file, "\t", where),
        "json": lambda: open_json(file, "json", where),
        "jsonl": lambda: open_json(file, "jsonl", where),
        "parquet": lambda: Parquet(file, where),
        "arrow": lambda: Arrow(file, where),
        "xlsx": lambda: Spreadsheet(file, where),
    }
    if kind not in sources:
        given = f"'{format}'" if format else f"the suffix '{file.suffix}' of {file}"
        text = " A plain text is read with `format: txt`." if format is None else ""
        raise UserError(
            f"{where}.format: {given} is not a known format; use one of {', '.join(sources)}.{text}"
        )
    _readable(file, kind, where)
    return sources[kind]()


def _readable(file: File, kind: str, where: str) -> None:
    """Refuse what is no file, and what its first bytes show to be something else."""
    if file.path.is_dir():
        raise UserError(
            f"{where}: {file} is a folder without a file that can be read; name one that has "
            f"files of {', '.join(SUFFIXES)} or .txt"
        )
    with file.open() as opened:
        head = opened.read(512)
    if not head.strip():
        raise UserError(f"{where}: {file} holds no record; is it the right file?")
    if head.startswith(b"version https://git-lfs"):
        raise UserError(f"{where}: {file} is a pointer of Git LFS to the data; run `git lfs pull`")
    if kind in ("parquet", "arrow", "xlsx"):
        return
    if b"\0" in head[:2] and b"\0" in head[2:4]:
        raise UserError(f"{where}: {file} is UTF-16; save it as UTF-8")
    for signature, what in (
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
        (b"\xfe\xff", "is UTF-16; save it as UTF-8"),
        (b"\xd0\xcf\x11\xe0", "is an old spreadsheet; save it as csv, in UTF-8"),
        (b"PK\x03\x04", "is a spreadsheet; set format: xlsx, or save it as csv"),
        (b"PAR1", "is Parquet; set format: parquet"),
    ):
        if head.startswith(signature):
            raise UserError(f"{where}: {file} {what}")
    if kind != "txt" and head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UserError(f"{where}: {file} is a web page, not {kind}; is the URL right?")
