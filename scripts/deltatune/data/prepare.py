"""From raw records to the splits of a task: what its kind refuses, and how much may be refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from deltatune.core.errors import UserError
from deltatune.core.schema import Section
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data import given, labels
from deltatune.data.classes import count_classes
from deltatune.data.duplicates import comparable_texts
from deltatune.data.frames import free_memory
from deltatune.data.leakage import leakage
from deltatune.data.origins import Origins, split_off
from deltatune.data.reasons import COLUMNS, Code, Reason
from deltatune.data.records import GIVEN, GROUP, SPLITS, group_columns
from deltatune.data.split_settings import SplitSettings
from deltatune.data.splits import Split, clean_records, count_codes, split_records

_OFTEN = {
    "text": ("sentence", "content", "body", "review", "document", "message", "title"),
    "label": ("labels", "class", "category", "sentiment", "target", "topic", "intent"),
    "instruction": ("question", "prompt", "query", "input", "text"),
    "output": ("answer", "response", "completion", "target", "summary"),
    "messages": ("conversations", "conversation", "dialog", "dialogue", "chat", "turns"),
}
"""Names that public data sets have for a field, the most frequent before the others."""
UNUSABLE = "unusable.csv"
"""Beside the splits, where too many records were unusable: those, with their reasons."""


def prepare(
    records: pd.DataFrame,
    kind: ModuleType,
    settings: SplitSettings,
    unread: pd.DataFrame | None = None,
    paragraphs: int | None = None,
    folder: Path | None = None,
    source_rows: Mapping[str, int] | None = None,
    class_names: Sequence[str] = (),
) -> tuple[Split, dict[str, Any]]:
    """Clean and split the records of one task.

    records: `row` and fields. kind: a module of deltatune.tasks. unread: `reasons.COLUMNS`, what
    the reader left out of the source; of a text these are paragraphs, and paragraphs is how many it
    has in all. folder: where the unusable records are listed (UNUSABLE) if there are too many.
    source_rows: of a source that names its splits, how many records each has, unread ones included,
    in their order. class_names: what the source calls the classes, in the order of the indices that
    its records have; () where they have the names, or it has none.

    Returns (split, counts); `excluded` of the split has the unread and the unusable records too,
    and counts "unread", "rejected", "notes" (what was understood of labels and splits), "leakage"
    and, where there are labels, "classes" (with the names in their order), where splits are given,
    "given" (see `given.account`), and, of a mixture, "parts" (the same of each dataset in it),
    beside those of `Split`; the frames of a mixture have `records.ORIGINS`. Raises UserError where
    too many records are unread or unusable, a class has none, or all of training are of one class.
    """
    where, options = f"tasks.{settings.task}", settings.split
    unread = pd.DataFrame(columns=COLUMNS) if unread is None else unread
    records, origins = split_off(records, unread)
    groups = _kept_fields(records, group_columns(options.group), f"{where}.split.group")
    given_field = _given_field(records, options.column, f"{where}.split.column")
    _require_fields(records, kind, where)
    if records.empty:
        raise UserError(f"{where}: its dataset has no records; check its source.")
    total = len(records)
    reading, notes = _reading(records, kind, settings, class_names)
    check = _check(kind, reading, given_field)
    cleaned, is_good, rejected = clean_records(records, check, lambda r: kind.clean(r, reading))
    rejected = origins.add(rejected)
    _check_shares(unread, rejected, total, paragraphs, settings, folder)
    if paragraphs is not None:
        unread = unread.assign(field="paragraph")
    names, of_names = _class_names(cleaned, kind, settings, reading, class_names)
    notes += of_names
    if groups:
        cleaned[GROUP] = _groups(records.loc[is_good, groups], f"{where}.split.group")
    splits = {}
    if given_field:
        cleaned[GIVEN] = records.loc[is_good, given_field].map(given.split_of).to_numpy()
        splits, taken = _splits_of(records, given_field, unread, source_rows or {})
        notes += taken
    del records
    free_memory()
    split, counts = _divided(cleaned, kind, settings, {*splits.values()}, names)
    counts |= _accounts(splits, origins, {*unread["row"], *rejected["row"]}, split)
    notes += given.describe(counts.get("given", {}))
    counts |= {"records": total, "notes": notes}
    counts |= {"unread": count_codes(unread["code"]), "rejected": count_codes(rejected["code"])}
    excluded = _joined([unread, rejected, split.excluded])
    return origins.add_to(replace(split, excluded=excluded, counts=counts)), counts


def _accounts(
    splits: Mapping[int, str], origins: Origins, unusable: set[int], split: Split
) -> dict[str, Any]:
    """What became of the records of each given split, and of each part of a mixture, see
    `given.account`; without "given" or "parts" where there are none. splits: row -> split."""
    repeated, frames = {*split.excluded["row"]}, split.parts()
    accounts = {}
    if splits:
        accounts["given"] = given.account(splits, SPLITS, unusable, repeated, frames)
    if parts := origins.by_row["dataset"].to_dict():
        names = sorted({*parts.values()})
        accounts["parts"] = given.account(parts, names, unusable, repeated, frames)
    return accounts


def _reading(
    records: pd.DataFrame, kind: ModuleType, settings: SplitSettings, class_names: Sequence[str]
) -> tuple[Section, list[str]]:
    """The settings of the records with labels as these have them, and what was understood."""
    if not kind.LABEL_FIELD:
        return settings.records, []
    values = records[kind.LABEL_FIELD].dropna().unique()
    try:
        reading, note = kind.read_labels(values, settings.records, class_names)
    except ValueError as error:
        raise UserError(f"tasks.{settings.task}.labels: {error}") from None
    return reading, [note] if note else []


def _joined(left_out: list[pd.DataFrame]) -> pd.DataFrame:
    """All of `reasons.COLUMNS`, by row."""
    # Rows of a frame without any have no types of their own.
    frames = [frame for frame in left_out if len(frame)]
    joined = pd.concat(frames or left_out[:1], ignore_index=True)[COLUMNS]
    return joined.sort_values("row", kind="stable")


def _class_names(
    cleaned: pd.DataFrame,
    kind: ModuleType,
    settings: SplitSettings,
    reading: Section,
    source_names: Sequence[str],
) -> tuple[list[str], list[str]]:
    """The names of the classes, none for a kind without, and a note of those that were found in the
    usable records. Raises UserError where these cannot be classes, or one that is given has no
    record."""
    if not kind.LABEL_FIELD:
        return [], []
    where = f"tasks.{settings.task}"
    present = set(cleaned[kind.LABEL_FIELD])
    names = kind.label_names(reading)
    if kind.label_names(settings.records):
        _require_labels(present, names, where)
        return names, []
    names = [name for name in names if name in present]
    doubt = None if source_names else labels.doubt(names, len(cleaned))
    if doubt:
        raise UserError(f"{where}.labels: {doubt}.")
    return names, [labels.described(names)]


def _divided(
    cleaned: pd.DataFrame,
    kind: ModuleType,
    settings: SplitSettings,
    named: set[str],
    names: Sequence[str],
) -> tuple[Split, dict[str, Any]]:
    """The split of the usable records, and what is counted of it, leaks and classes included.
    named: the splits that the source names. names: of the classes."""
    where, options = f"tasks.{settings.task}", settings.split
    split = split_records(
        cleaned,
        method=options.method,
        validation=options.validation,
        test=options.test,
        max_records=options.max_records,
        train=options.train,
        seed=options.seed,
        text_fields=kind.TEXT_FIELDS,
        label_field=kind.LABEL_FIELD,
        group_field=GROUP if GROUP in cleaned else None,
        near_duplicate_threshold=options.near_duplicates,
        named=named,
        where=f"{where}.split",
    )
    leaks = leakage(
        split.train, split.test, kind.TEXT_FIELDS, kind.PROMPT_FIELDS, kind.ANSWER_FIELDS
    )
    counts = {**split.counts, "leakage": leaks}
    if names:
        counts["classes"] = count_classes(split.parts(), kind.LABEL_FIELD, names)
        _require_two(counts["classes"]["train"], f"{where}.split")
    return split, counts


def _check(
    kind: ModuleType, settings: Section, given_field: str | None
) -> Callable[[dict[str, Any]], Reason | None]:
    """Why a record cannot be used: as its kind says, or for want of a split."""

    def check(record: dict[str, Any]) -> Reason | None:
        reason = kind.check(record, settings)
        if reason is None and given_field:
            reason = given.reason(record[given_field], given_field.removeprefix(GROUP))
        return reason

    return check


def _given_field(records: pd.DataFrame, column: str | None, where: str) -> str | None:
    """The field that names the split of each record; None where nothing does."""
    if GIVEN in records and column is not None:
        raise UserError(
            f"{where}: the dataset names its splits itself; leave `column` out, or name one split "
            "there"
        )
    if column is None:
        return GIVEN if GIVEN in records else None
    return _kept_fields(records, [column], where)[0]


def _splits_of(
    records: pd.DataFrame, field: str, unread: pd.DataFrame, source_rows: Mapping[str, int]
) -> tuple[dict[int, str], list[str]]:
    """Row -> the split that the source gives it, without those that have none; and a note of the
    words that are read as another one. source_rows: see `prepare`; with them the split of an unread
    record is known too."""
    values = zip(records["row"], records[field], strict=True)
    splits = {row: split for row, value in values if (split := given.split_of(value))}
    last = 0
    for split, number in source_rows.items():
        of_split = unread["row"][unread["row"].between(last + 1, last + number)]
        splits |= dict.fromkeys(of_split, split)
        last += number
    taken = given.names_taken(records[field].dropna().unique())
    return splits, [f"split.column: {', '.join(taken)}"] if taken else []


def _kept_fields(records: pd.DataFrame, columns: list[str], where: str) -> list[str]:
    """The fields with columns that the split asks for; UserError where one is missing."""
    fields = []
    there = [name for name in records.columns if name not in ("row", GIVEN)]
    for column in columns:
        kept = f"{GROUP}{column}"
        if column not in there and kept not in there:
            names = [name.removeprefix(GROUP) for name in there]
            listed = ", ".join(excerpt(name, 40) for name in names[:30])
            more = f" and {len(names) - 30} more" * (len(names) > 30)
            raise UserError(
                f"{where}: the dataset has no column '{excerpt(column)}'"
                f"{did_you_mean(column, names)}; it has {listed}{more}"
            )
        fields.append(column if column in there else kept)
    return fields


def _groups(values: pd.DataFrame, where: str) -> list[str]:
    """The group of each record, "" for one without a value in any of the fields.

    Values are compared like texts: normalized, without regard to case and spaces.
    """
    values = values.astype(object)
    texts = values.where(values.isna(), values.map(str))
    groups = [key if key.strip("\x1f") else "" for key in comparable_texts(texts, [*values])]
    if not any(groups):
        raise UserError(f"{where}: no record has a value there; name another column")
    return groups


def _require_fields(records: pd.DataFrame, kind: ModuleType, where: str) -> None:
    optional = set(kind.OPTIONAL_FIELDS)
    needed = [*kind.FIELDS, *([kind.LABEL_FIELD] if kind.LABEL_FIELD else [])]
    absent = [field for field in needed if field not in records and field not in optional]
    if absent:
        fields = [
            excerpt(field, 40)
            for field in records.columns
            if field not in ("row", GIVEN) and not field.startswith(GROUP)
        ]
        there = ", ".join(fields[:30]) + (f" and {len(fields) - 30} more" * (len(fields) > 30))
        raise UserError(
            f"{where}: its records need {', '.join(f'`{field}`' for field in absent)}, and the "
            f"dataset has {there}. Name the column of each under the dataset's `columns`, such as "
            f"`columns: {{{', '.join(f'{field}: {_column(field, fields)}' for field in absent)}}}`."
        )


def _column(field: str, columns: Sequence[str]) -> str:
    """The column that a field is often called by, or else words for one."""
    names = {column.lower(): column for column in columns}
    return next((names[name] for name in _OFTEN.get(field, ()) if name in names), "a column")


def _require_labels(present: set[str], names: list[str], where: str) -> None:
    absent = [name for name in names if name not in present]
    if absent:
        raise UserError(
            f"{where}.labels: no record is labeled {', '.join(map(repr, absent))}; a class without "
            "examples can be neither trained on nor tested. Remove it from the list, or check its "
            "spelling in the data."
        )


def _require_two(training: dict[str, int], where: str) -> None:
    there = [name for name, count in training.items() if count]
    if len(there) < 2:
        raise UserError(
            f"{where}: all {sum(training.values())} training records are labeled "
            f"'{excerpt(there[0])}', so that nothing can be learned; use method: stratified, give "
            "more data, or take more of it (max_records)"
        )


def _check_shares(
    unread: pd.DataFrame,
    rejected: pd.DataFrame,
    records: int,
    paragraphs: int | None,
    settings: SplitSettings,
    folder: Path | None,
) -> None:
    """Refuse too many that are unread or rejected: of all together, or, of a text, of its
    paragraphs and of its records. Of answers marked as undesirable there may be any number."""
    unread = unread[unread["code"] != Code.UNDESIRABLE]
    where, allowed = f"tasks.{settings.task}", settings.split.max_rejected
    if paragraphs is None:
        left_out = pd.concat([unread, rejected])
        _check_share(left_out, records + len(unread), "records", allowed, where, folder)
        return
    _check_share(unread, paragraphs, "paragraphs", allowed, where, folder)
    _check_share(rejected, records, "records", allowed, where, folder)


def _check_share(
    left_out: pd.DataFrame, total: int, unit: str, allowed: float, where: str, folder: Path | None
) -> None:
    """Refuse more unusable records (or paragraphs) than allowed, and keep their list."""
    kept = folder / UNUSABLE if folder else None
    if len(left_out) <= allowed * total:
        if kept:
            kept.unlink(missing_ok=True)
        return
    message = _too_many(left_out, total, unit, allowed, where)
    if kept:
        left_out.sort_values("row").to_csv(kept, index=False, lineterminator="\n")
        message += f" All of them are in {kept}."
    raise UserError(message)


def _too_many(rejected: pd.DataFrame, total: int, unit: str, allowed: float, where: str) -> str:
    lines = [
        f"{where}: {len(rejected)} of {total} {unit} cannot be used, more than the "
        f"{allowed:.0%} that split.max_rejected allows:"
    ]
    rejected = rejected.assign(field=rejected["field"].fillna(""))
    for (field, reason), rows in rejected.groupby(["field", "reason"], sort=False)["row"]:
        named = f"{field}: " if field else ""
        lines.append(f"  - {named}{reason}, {len(rows)} {unit}, the first is row {rows.iloc[0]}")
        if len(lines) > 6:
            lines.append("  - and more")
            break
    most = Code(rejected["code"].value_counts().idxmax())
    if most is Code.UNKNOWN_LABEL:
        lines.append(f"Add the label to {where}.labels, or correct the rows.")
    elif most.advice:
        lines.append(f"{most.advice} Or raise split.max_rejected.")
    else:
        lines.append("Correct the rows or the dataset's `columns`, or raise split.max_rejected.")
    return "\n".join(lines)
