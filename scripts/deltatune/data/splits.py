"""Records as training, validation and test, without the same text on both sides.

The order of work: `max_records` are drawn; repetitions out, of texts that are the same after NFKC,
case folding and single spaces: duplicates but for the first, or, with another label, conflicting
labels; the split; then records of validation and test out that nearly repeat a training record (and
of test that nearly repeat one of validation). All of it is decided by the records, their order and
the seed alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.data.assignment import Parts, assign
from deltatune.data.drawing import draw, draw_each
from deltatune.data.duplicates import comparable_texts, near_duplicates, repeated
from deltatune.data.frames import alike, taken
from deltatune.data.given import assign_given
from deltatune.data.reasons import COLUMNS, Code, Reason
from deltatune.data.records import BATCH, GIVEN, GROUP_ID, SPLITS, as_dicts
from deltatune.data.split_settings import Method
from deltatune.data.texts import Keys, Texts


@dataclass(frozen=True)
class Split:
    """Three frames of records (id, fields), what was left out, and the counts for a manifest.

    excluded: `reasons.COLUMNS`. counts: {"records", "beyond_max_records", "train", "validation",
    "test": numbers of records, "excluded": {code: number}, "groups": {split: number} and
    "without_group" where there is a group field, "chapters": {split: number} and
    "divided_chapters" (those in more than one split) where records have chapters}.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame
    excluded: pd.DataFrame
    counts: dict[str, Any]

    def parts(self) -> dict[str, pd.DataFrame]:
        """Split -> its records."""
        return {name: getattr(self, name) for name in SPLITS}


def clean_records(
    records: pd.DataFrame,
    check: Callable[[dict[str, Any]], Reason | None],
    clean: Callable[[dict[str, Any]], dict[str, Any]],
) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame]:
    """Part the records that a task can use from those that it cannot.

    records: `row` (or `id`) and fields. check: gets a record as a dict, with None where a value
    is missing, and returns None or why it cannot be used. clean: the fields of one that can.

    Returns (cleaned, is_good, rejected): the good records with their number as `id` and what
    `clean` gives; bool [records], which these are; and a frame of `reasons.COLUMNS`.
    """
    # A data set may have an `id` of its own, which is text: `row` is ours.
    number = "row" if "row" in records.columns else _number_column(records)
    is_good = np.ones(len(records), dtype=bool)
    lines = []
    batch: list[dict[str, Any]] = []
    parts = []
    for place, record in enumerate(as_dicts(records)):
        reason = check(record)
        if reason is None:
            batch.append({"id": record[number], **clean(record)})
        else:
            is_good[place] = False
            lines.append(reason.line(int(record[number]), record.get(reason.field)))
        if len(batch) == BATCH:
            parts.append(pd.DataFrame(batch))
            batch = []
    if batch or not parts:
        parts.append(pd.DataFrame(batch))
    return pd.concat(parts, ignore_index=True), is_good, _excluded(lines)


def split_records(
    records: pd.DataFrame,
    *,
    method: Method,
    validation: float,
    test: float,
    max_records: int | None,
    train: int | None = None,
    seed: int,
    text_fields: Sequence[str],
    label_field: str | None,
    near_duplicate_threshold: float | None,
    group_field: str | None = None,
    named: Collection[str] = (),
    where: str = "split",
) -> Split:
    """Divide records into training, validation and test.

    records: `id` (or `row`, which is renamed), unique integers; the fields; for prose `chapter`.
    max_records, and train of the training records: only so many, see `draw`. text_fields: what
    distinguishes two records. near_duplicate_threshold: see `near_duplicates`; None keeps all.
    group_field: a text that all records of a group share, "" for one by itself; the frames have
    `records.GROUP_ID` in its place. named: the splits that the source of the records names, which
    then have them in `records.GIVEN`; of two equal texts the one in the earlier split is kept.
    where: the split in config.yaml, for messages. The others: see `assign`.

    All frames are in the order of id: who trains must shuffle. Raises UserError where no such split
    can be made, and names the setting to change.
    """
    _check_threshold(near_duplicate_threshold, where)
    total = len(records)
    records = _in_order(records, [*text_fields, *([label_field] if label_field else [])])
    given = alike(records.pop(GIVEN)) if named else None
    texts: Sequence[str] = Texts(comparable_texts(records, text_fields))
    if max_records is not None:
        drawn = _drawn(records, texts, group_field, label_field, given, method, max_records, seed)
        records, texts = taken(records, drawn), Texts(texts[i] for i in drawn)
        given = [given[i] for i in drawn] if given else None
    # position -> reason, of all that is left out
    reasons = _repetitions(records, texts, text_fields[0], label_field, given)
    used = np.setdiff1d(np.arange(len(texts)), [*reasons])
    groups = alike(records.pop(group_field)) if group_field else [""] * len(records)
    beyond = total - len(records)
    how = (method, validation, test, seed, where, _describe(total, beyond, len(reasons)))
    parts = _assigned(records, groups, texts, used, given, named, label_field, *how)
    assigned, *held_out = (used[np.sort(part)] for part in parts)
    trained = _limited(assigned, records, groups, texts, label_field, method, train, seed)
    if near_duplicate_threshold is not None:
        near = near_duplicates(texts, trained, *held_out, near_duplicate_threshold)
        reasons |= _near_repetitions(records, near, text_fields[0])
        held_out = _without(held_out, near, where)
    if group_field:
        records[GROUP_ID] = _group_names(groups)
    excluded = _lines(records, reasons)
    without = sum(not groups[i] for i in used) if group_field else None
    del texts, groups  # there are two of each record from here on
    frames = _frames(records, trained, *held_out)
    beyond += len(assigned) - len(trained)
    counts = {"records": total, "beyond_max_records": beyond} | _counts(frames, reasons, without)
    return Split(**frames, excluded=excluded, counts=counts)


def _assigned(
    records: pd.DataFrame,
    groups: list[str],
    texts: Sequence[str],
    used: np.ndarray,
    given: list[str] | None,
    named: Collection[str],
    label_field: str | None,
    *how: Any,
) -> Parts:
    """Which of `used` are training, validation and test. groups: "" for a record by itself. used:
    positions. how: the last parameters of `assign`."""
    divided = records[[name for name in (label_field, "chapter") if name in records]].iloc[used]
    keys, groups = Keys(groups, texts, used), [groups[i] for i in used]
    if given is None:
        return assign(divided, keys, any(groups), label_field, *how)
    given = [given[i] for i in used]
    return assign_given(divided, given, named, keys, groups, label_field, *how)


def _drawn(
    records: pd.DataFrame,
    texts: Sequence[str],
    group_field: str | None,
    label_field: str | None,
    given: list[str] | None,
    method: Method,
    max_records: int,
    seed: int,
) -> list[int]:
    """Positions of the records that `draw` takes; those of a group, or of one text, share a key."""
    groups = alike(records[group_field]) if group_field else [""] * len(records)
    keys = Keys(groups, texts, np.arange(len(texts)))
    labels = alike(records[label_field]) if label_field else None
    if given is not None:
        return draw_each(given, keys, labels, method, max_records, seed)
    return draw(keys, labels, method, max_records, seed)


def _check_threshold(threshold: float | None, where: str) -> None:
    if threshold is not None and not 0 < threshold <= 1:
        raise UserError(f"{where}.near_duplicates: {threshold} is not in (0, 1]")


def _limited(
    positions: np.ndarray,
    records: pd.DataFrame,
    groups: list[str],
    texts: Sequence[str],
    label_field: str | None,
    method: Method,
    count: int | None,
    seed: int,
) -> np.ndarray:
    """At most `count` positions, see `draw`: those of a group, or of one text, share a key."""
    keys = Keys(groups, texts, positions)
    labels = alike(records[label_field].iloc[positions]) if label_field else None
    return positions[draw(keys, labels, method, count, seed)]


# ---------------------------------------------------------------- frames


def _number_column(records: pd.DataFrame) -> str:
    for name in ("id", "row"):
        if name in records.columns:
            return name
    raise ValueError(f"records have neither id nor row: {list(records.columns)}")


def _in_order(records: pd.DataFrame, fields: list[str]) -> pd.DataFrame:
    """The records by id, which is in a column of that name, with a new index. fields: those that
    they must have."""
    number = _number_column(records)
    for field in fields:
        if field not in records.columns:
            raise ValueError(f"no field '{field}' among {list(records.columns)}")
    records = records.rename(columns={number: "id"}).reset_index(drop=True)
    if not records["id"].is_monotonic_increasing:
        records = records.sort_values("id", kind="stable", ignore_index=True)
    if records["id"].duplicated().any():
        raise ValueError("records carry the same id twice")
    return records


def _frames(records: pd.DataFrame, *parts: np.ndarray) -> dict[str, pd.DataFrame]:
    """Split -> its records. parts: positions of training, validation and test."""
    named = zip(SPLITS, parts, strict=True)
    return {name: taken(records, part) for name, part in named}


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value


def _excluded(lines: list[tuple[int, str, str, str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=COLUMNS)
    return frame.astype({name: "int64" if name == "row" else "str" for name in COLUMNS})


def _lines(records: pd.DataFrame, reasons: Mapping[int, Reason]) -> pd.DataFrame:
    """Of what is left out: `reasons.COLUMNS`. reasons: by position."""
    return _excluded(
        [
            reason.line(int(records.at[i, "id"]), _none(records.at[i, reason.field]))
            for i, reason in sorted(reasons.items())
        ]
    )


def _repetitions(
    records: pd.DataFrame,
    texts: Sequence[str],
    text_field: str,
    label_field: str | None,
    given: Sequence[str] | None,
) -> dict[int, Reason]:
    """Position -> why it is left out, of each text that stood there before, or in an earlier of the
    given splits."""
    ids = records["id"].to_numpy()
    labels = alike(records[label_field]) if label_field else None
    reasons = {}
    order = sorted(range(len(texts)), key=lambda i: SPLITS.index(given[i])) if given else None
    for i, original in _repeated_in(texts, order).items():
        if labels is None or label_field is None or labels[i] == labels[original]:
            reasons[i] = Reason(Code.DUPLICATE, text_field, row=int(ids[original]))
        else:
            reasons[i] = Reason(Code.CONFLICTING_LABEL, label_field, row=int(ids[original]))
    return reasons


def _repeated_in(texts: Sequence[str], order: Sequence[int] | None) -> dict[int, int]:
    """`repeated`, where the texts come in another order. order: positions; None: as they are."""
    if order is None:
        return repeated(texts)
    repeats = repeated([texts[i] for i in order])
    return {order[i]: order[original] for i, original in repeats.items()}


def _near_repetitions(
    records: pd.DataFrame, near: Mapping[int, tuple[str, int]], text_field: str
) -> dict[int, Reason]:
    """Position -> why it is left out. near: see `near_duplicates`."""
    ids = records["id"].to_numpy()
    return {
        i: Reason(Code.NEAR_DUPLICATE, text_field, split=split, row=int(ids[original]))
        for i, (split, original) in near.items()
    }


def _without(held_out: Sequence[np.ndarray], near: Container[int], where: str) -> list[np.ndarray]:
    """The positions of validation and test that are no near duplicates; UserError where a split
    has none left."""
    parts = []
    for name, part in zip(("validation", "test"), held_out, strict=True):
        kept = np.array([i for i in part if i not in near], dtype=np.int64)
        if not len(kept):
            raise UserError(
                f"{where}.near_duplicates: all {len(part)} records of the {name} split are near "
                "duplicates of earlier ones (a long text that all records share counts too); raise "
                "the threshold, or write `null` to keep them, or use data with fewer duplicates"
            )
        parts.append(kept)
    return parts


def _group_names(groups: Sequence[str]) -> list[str]:
    """A short name for each group, by their order: a value may be as long as a prompt."""
    numbers = {group: n for n, group in enumerate(dict.fromkeys(filter(None, groups)), 1)}
    return [f"group {numbers[group]}" if group else "" for group in groups]


def _counts(
    frames: Mapping[str, pd.DataFrame], reasons: Mapping[int, Reason], without_group: int | None
) -> dict[str, Any]:
    """Records of each split, and what else is counted of them, see `Split`. without_group: None
    where there are no groups."""
    counts: dict[str, Any] = {name: len(frame) for name, frame in frames.items()}
    if without_group is not None:
        counts |= _count_groups(frames)
        counts["without_group"] = without_group
    counts["excluded"] = count_codes(reason.code for reason in reasons.values())
    return counts | _count_chapters(frames)


def _count_groups(frames: Mapping[str, pd.DataFrame]) -> dict[str, dict[str, int]]:
    """{"groups": {split: number}}, without records by themselves."""
    return {"groups": {name: len({*part[GROUP_ID]} - {""}) for name, part in frames.items()}}


def _count_chapters(frames: Mapping[str, pd.DataFrame]) -> dict[str, Any]:
    """{"chapters": {split: number}, "divided_chapters": number}; {} where no record has one."""
    parts = {
        name: {*frame["chapter"].fillna("")} - {""} if "chapter" in frame else set()
        for name, frame in frames.items()
    }
    splits_of = Counter(chapter for chapters in parts.values() for chapter in chapters)
    if not splits_of:
        return {}
    return {
        "chapters": {name: len(chapters) for name, chapters in parts.items()},
        "divided_chapters": sum(count > 1 for count in splits_of.values()),
    }


def count_codes(codes: Iterable[str]) -> dict[str, int]:
    return {str(code): count for code, count in sorted(Counter(codes).items())}


def _describe(total: int, beyond: int, left_out: int) -> str:
    parts = [f"{total} usable records"]
    if beyond:
        parts.append(f"{beyond} of them beyond max_records")
    if left_out:
        parts.append(f"{left_out} duplicates")
    return ", ".join(parts)
