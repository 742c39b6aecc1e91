"""From raw records to the splits of a task: what its kind refuses, and how much may be refused."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pandas as pd

from deltatune.core.errors import UserError
from deltatune.core.schema import Section
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data.classes import count_classes
from deltatune.data.duplicates import comparable_texts
from deltatune.data.leakage import leakage
from deltatune.data.reasons import Code
from deltatune.data.records import BATCH, GROUP, as_dicts, group_columns
from deltatune.data.split_settings import SplitSettings
from deltatune.data.splits import Split, clean_records, count_codes, split_records


def prepare(
    records: pd.DataFrame, kind: ModuleType, settings: SplitSettings
) -> tuple[Split, dict[str, Any]]:
    """Clean and split the records of one task.

    records: `row` and fields. kind: a module of deltatune.tasks. Returns (split, counts);
    `excluded` of the split has the unusable records too, and counts "rejected", "leakage" and,
    where there are labels, "classes" beside those of `Split`. Raises UserError where too many
    records are unusable, a class has none, or the training records are of one class.
    """
    where, options = f"tasks.{settings.task}", settings.split
    groups = _group_fields(records, group_columns(options.group), f"{where}.split.group")
    _require_fields(records, kind, where)
    if records.empty:
        raise UserError(f"{where}: its dataset has no records; check its source.")
    total = len(records)
    kept, rejected = clean_records(records, lambda record: kind.check(record, settings.records))
    if len(rejected) > options.max_rejected * total:
        raise UserError(_too_many(rejected, total, options.max_rejected, where))
    cleaned = _cleaned(kept, kind, settings.records)
    if groups:
        cleaned[GROUP] = _groups(kept, groups, f"{where}.split.group")
    del records, kept
    if kind.LABEL_FIELD:
        _require_labels(cleaned[kind.LABEL_FIELD], kind.label_names(settings.records), where)
    split = split_records(
        cleaned,
        method=options.method,
        validation=options.validation,
        test=options.test,
        max_records=options.max_records,
        seed=options.seed,
        text_fields=kind.TEXT_FIELDS,
        label_field=kind.LABEL_FIELD,
        group_field=GROUP if groups else None,
        near_duplicate_threshold=options.near_duplicates,
        where=f"{where}.split",
    )
    leaks = leakage(
        split.train, split.test, kind.TEXT_FIELDS, kind.PROMPT_FIELDS, kind.ANSWER_FIELDS
    )
    parts = {name: getattr(split, name) for name in ("train", "validation", "test")}
    classes = {}
    if kind.LABEL_FIELD:
        names = kind.label_names(settings.records)
        classes = {"classes": count_classes(parts, kind.LABEL_FIELD, names)}
        _require_two(classes["classes"]["train"], f"{where}.split")
    counts = {
        **split.counts,
        **classes,
        "leakage": leaks,
        "records": total,
        "rejected": count_codes(rejected["code"]),
    }
    excluded = pd.concat([rejected, split.excluded], ignore_index=True).sort_values("row")
    return Split(**parts, excluded=excluded, counts=counts), counts


def _cleaned(kept: pd.DataFrame, kind: ModuleType, settings: Section) -> pd.DataFrame:
    """id and the fields in the task's own terms; a dict each for a batch of records at a time."""
    parts = []
    for start in range(0, len(kept), BATCH):
        batch = as_dicts(kept.iloc[start : start + BATCH])
        parts.append(pd.DataFrame([{"id": r["row"], **kind.clean(r, settings)} for r in batch]))
    return pd.concat(parts, ignore_index=True)


def _group_fields(records: pd.DataFrame, columns: list[str], where: str) -> list[str]:
    """The fields with the columns of `split.group`; UserError where one is missing."""
    fields = []
    there = [name for name in records.columns if name != "row"]
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


def _groups(kept: pd.DataFrame, fields: list[str], where: str) -> list[str]:
    """The group of each record, "" for one without a value in any of the fields.

    Values are compared like texts: normalized, without regard to case and spaces.
    """
    values = kept[fields].astype(object)
    texts = values.where(values.isna(), values.map(str))
    groups = [key if key.strip("\x1f") else "" for key in comparable_texts(texts, fields)]
    if not any(groups):
        raise UserError(f"{where}: no record has a value there; name another column")
    return groups


def _require_fields(records: pd.DataFrame, kind: ModuleType, where: str) -> None:
    optional = set(kind.OPTIONAL_FIELDS)
    needed = [*kind.TEXT_FIELDS, *([kind.LABEL_FIELD] if kind.LABEL_FIELD else [])]
    absent = [field for field in needed if field not in records and field not in optional]
    if absent:
        fields = [
            excerpt(field, 40)
            for field in records.columns
            if field != "row" and not field.startswith(GROUP)
        ]
        there = ", ".join(fields[:30]) + (f" and {len(fields) - 30} more" * (len(fields) > 30))
        raise UserError(
            f"{where}: its records need {', '.join(f'`{field}`' for field in absent)}, and the "
            f"dataset has {there}. Map a column to it under the dataset's `columns`, such as "
            f"`columns: {{{absent[0]}: {fields[-1]}}}`."
        )


def _require_labels(labels: pd.Series, names: list[str], where: str) -> None:
    absent = [name for name in names if name not in set(labels)]
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


def _too_many(rejected: pd.DataFrame, total: int, allowed: float, where: str) -> str:
    lines = [
        f"{where}: {len(rejected)} of {total} records cannot be used, more than the "
        f"{allowed:.0%} that split.max_rejected allows:"
    ]
    for (field, reason), rows in rejected.groupby(["field", "reason"], sort=False)["row"]:
        lines.append(f"  - {field}: {reason}, {len(rows)} records, the first is row {rows.iloc[0]}")
        if len(lines) > 6:
            lines.append("  - and more")
            break
    if (rejected["code"] == Code.UNKNOWN_LABEL).any():
        lines.append(f"Add the label to {where}.labels, or correct the rows.")
    else:
        lines.append("Correct the rows or the dataset's `columns`, or raise split.max_rejected.")
    return "\n".join(lines)
