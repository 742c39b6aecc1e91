"""Records as training, validation and test, without the same text on both sides.

The order of work: the first `max_records`, exact duplicates out, the split, then records of
validation and test that nearly repeat a training record (and of test that nearly repeat one of
validation) out. All of it is decided by the records, their order and the seed alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.assignment import by_groups, by_hash
from deltatune.data.duplicates import comparable_texts, near_duplicates, repeated, round_up
from deltatune.data.reasons import COLUMNS, Code, Reason
from deltatune.data.records import GROUP_ID, as_dicts

Method = Literal["random", "stratified", "contiguous", "hash"]


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


def clean_records(
    records: pd.DataFrame, check: Callable[[dict[str, Any]], Reason | None]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Part the records that a task can use from those that it cannot.

    records: `row` (or `id`) and fields. check: gets a record as a dict, with None where a value
    is missing, and returns None or why it cannot be used.

    Returns (kept, rejected): the good records as they came, with a new index, and a frame of
    `reasons.COLUMNS`.
    """
    # A data set may have an `id` of its own, which is text: `row` is ours.
    number = "row" if "row" in records.columns else _number_column(records)
    good: list[bool] = []
    lines = []
    for record in as_dicts(records):
        reason = check(record)
        good.append(reason is None)
        if reason is not None:
            lines.append(reason.line(int(record[number]), record.get(reason.field)))
    kept = records[np.array(good, dtype=bool)].reset_index(drop=True)
    return kept, _excluded(lines)


def split_records(
    records: pd.DataFrame,
    *,
    method: Method,
    validation: float,
    test: float,
    max_records: int | None,
    seed: int,
    text_fields: Sequence[str],
    label_field: str | None,
    near_duplicate_threshold: float | None,
    group_field: str | None = None,
    where: str = "split",
) -> Split:
    """Divide records into training, validation and test.

    records: `id` (or `row`, which is renamed), unique integers; the fields; for prose `chapter`.
    method: "random" or "stratified" by the label (both scikit-learn's train_test_split: the test
    first, then the validation from what remains), "contiguous": in the order of id, the last
    records are the test and those before them the validation, or "hash": a hash of the seed and of
    the record's text as it is compared for duplicates, so that records added behind the others move
    none of them from one split to another. A contiguous cut moves to the nearest change of
    `chapter` if the part then differs by at most half from what was asked.
    validation, test: a share of the records in (0, 1), rounded up as scikit-learn does, or a
    number of records from 1 on; for "hash" a share, which holds approximately. max_records: only
    the first so many, by id.
    text_fields: what distinguishes two records. Records whose text is the same after NFKC, case
    folding and single spaces are left out but for the first, as duplicates, or, with another
    label, as conflicting labels. near_duplicate_threshold: Jaccard similarity of the sets of word
    3-grams from which a record of validation or test is left out; it is exact, and None keeps
    them. group_field: a text that all records of a group share, which stay in one split; "" for a
    record by itself. The frames have `records.GROUP_ID` in its place, a short name. See
    `assignment.by_groups`; "hash" takes the group's hash for the record's, and "contiguous" no
    groups.
    where: path of the split in config.yaml, such as "tasks.news.split", for messages.

    All frames are in the order of id, training too: who trains must shuffle.
    Raises UserError where a split would be empty, a class too small to stratify, or all labels
    the same, and names the setting to change.
    """
    if near_duplicate_threshold is not None and not 0 < near_duplicate_threshold <= 1:
        raise UserError(f"{where}.near_duplicates: {near_duplicate_threshold} is not in (0, 1]")
    if group_field and method == "contiguous":
        raise ValueError(f"{where}: a contiguous split divides groups")
    total = len(records)
    records = _in_order(records, [*text_fields, *([label_field] if label_field else [])])
    records = records.head(total if max_records is None else max_records).reset_index(drop=True)
    beyond = total - len(records)

    ids = records["id"].tolist()
    texts = comparable_texts(records, text_fields)
    labels = records[label_field].tolist() if label_field else None
    # position -> reason, of all that is left out
    reasons = _repetitions(ids, texts, labels, text_fields[0], label_field)
    positions = np.array([i for i in range(len(ids)) if i not in reasons], dtype=np.int64)
    used = records[[name for name in (label_field, "chapter") if name in records]].iloc[positions]
    remaining = _describe(total, beyond, len(reasons))
    sizes = _sizes(len(used), validation, test, where, remaining)
    _check_labels(used, label_field, where)
    groups = records.pop(group_field).tolist() if group_field else [""] * len(records)
    keys = [groups[i] or texts[i] for i in positions]
    if method == "hash":
        parts = by_hash(keys, validation, test, seed, where)
    elif group_field:
        strata = _strata(used, method, label_field, where)
        parts = by_groups(keys, strata, *sizes, seed, where)
    else:
        parts = _divide(used, method, sizes, seed, label_field, where)
    train, *held_out = (positions[np.sort(part)] for part in parts)
    if group_field:
        records[GROUP_ID] = _group_names(groups)

    if near_duplicate_threshold is not None:
        near = near_duplicates(texts, train, *held_out, near_duplicate_threshold)
        reasons |= {
            i: Reason(Code.NEAR_DUPLICATE, text_fields[0], split=split, row=ids[original])
            for i, (split, original) in near.items()
        }
        held_out = [
            _without(part, near, name, where)
            for name, part in zip(("validation", "test"), held_out, strict=True)
        ]

    frames = {
        name: records.iloc[part].reset_index(drop=True)
        for name, part in zip(("train", "validation", "test"), (train, *held_out), strict=True)
    }
    counts: dict[str, Any] = {"records": total, "beyond_max_records": beyond}
    counts |= {name: len(frame) for name, frame in frames.items()}
    if group_field:
        counts |= _count_groups(frames)
        counts["without_group"] = sum(not groups[i] for i in positions)
    counts["excluded"] = count_codes(reason.code for reason in reasons.values())
    counts |= _count_chapters(frames)
    lines = [
        reason.line(ids[i], _none(records.at[i, reason.field]))
        for i, reason in sorted(reasons.items())
    ]
    return Split(**frames, excluded=_excluded(lines), counts=counts)


# ---------------------------------------------------------------- frames


def _number_column(records: pd.DataFrame) -> str:
    for name in ("id", "row"):
        if name in records.columns:
            return name
    raise ValueError(f"records have neither id nor row: {list(records.columns)}")


def _in_order(records: pd.DataFrame, fields: list[str]) -> pd.DataFrame:
    """The records by id, which is in a column of that name. fields: those that they must have."""
    number = _number_column(records)
    for field in fields:
        if field not in records.columns:
            raise ValueError(f"no field '{field}' among {list(records.columns)}")
    records = records.rename(columns={number: "id"}).sort_values("id", kind="stable")
    if records["id"].duplicated().any():
        raise ValueError("records carry the same id twice")
    return records


def _none(value: Any) -> Any:
    return None if pd.isna(value) else value


def _excluded(lines: list[tuple[int, str, str, str, str]]) -> pd.DataFrame:
    frame = pd.DataFrame(lines, columns=COLUMNS)
    return frame.astype({name: "int64" if name == "row" else "str" for name in COLUMNS})


def _repetitions(
    ids: list[int],
    texts: list[str],
    labels: list[Any] | None,
    text_field: str,
    label_field: str | None,
) -> dict[int, Reason]:
    """Position -> why it is left out, of each text that stood there before."""
    reasons = {}
    for i, original in repeated(texts).items():
        if labels is None or label_field is None or labels[i] == labels[original]:
            reasons[i] = Reason(Code.DUPLICATE, text_field, row=ids[original])
        else:
            reasons[i] = Reason(Code.CONFLICTING_LABEL, label_field, row=ids[original])
    return reasons


def _group_names(groups: Sequence[str]) -> list[str]:
    """A short name for each group, by their order: a value may be as long as a prompt."""
    numbers = {group: n for n, group in enumerate(dict.fromkeys(filter(None, groups)), 1)}
    return [f"group {numbers[group]}" if group else "" for group in groups]


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


# ---------------------------------------------------------------- the split


def _sizes(n: int, validation: float, test: float, where: str, remaining: str) -> tuple[int, int]:
    """Numbers of validation and test records out of n, so that all three splits have some."""
    sizes = []
    for name, asked in (("validation", validation), ("test", test)):
        if not (0 < asked < 1 or (asked >= 1 and float(asked).is_integer())):
            raise UserError(
                f"{where}.{name}: {asked} is neither a fraction between 0 and 1 nor a number of "
                "records; no split may be empty"
            )
        sizes.append(round_up(asked * n) if asked < 1 else int(asked))
    if n < 3:
        raise UserError(
            f"{where}: {n} records are left to split ({remaining}), and training, validation and "
            "test need one each; give more data, or raise max_records"
        )
    if sum(sizes) >= n:
        raise UserError(
            f"{where}: validation ({sizes[0]}) and test ({sizes[1]}) leave nothing of the {n} "
            f"records for training ({remaining}); lower {where}.validation or {where}.test"
        )
    return sizes[0], sizes[1]


def _divide(
    records: pd.DataFrame,
    method: Method,
    sizes: tuple[int, int],
    seed: int,
    label_field: str | None,
    where: str,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the training, validation and test records.

    records: label and chapter, where there are any. sizes: of validation and test.
    """
    if method == "contiguous":
        chapters = records["chapter"].fillna("").to_numpy() if "chapter" in records else None
        return _cut(len(records), *sizes, chapters)
    strata = _strata(records, method, label_field, where)
    if strata is not None:
        _check_strata(strata, sizes, where)
        strata = np.array(strata, dtype=object)
    return _shuffle(len(records), *sizes, seed, strata, where)


def _strata(
    records: pd.DataFrame, method: Method, label_field: str | None, where: str
) -> list[Any] | None:
    """The labels to balance, None for another method."""
    if method != "stratified":
        return None
    if label_field is None:
        raise UserError(f"{where}.method: this task has no label to stratify by")
    return records[label_field].tolist()


def _check_labels(records: pd.DataFrame, label_field: str | None, where: str) -> None:
    labels = records[label_field].tolist() if label_field else None
    if labels and len(set(labels)) < 2:
        raise UserError(
            f"{where}: all {len(labels)} records carry the label '{excerpt(labels[0])}'; there is "
            "nothing to classify. Add records of another class, or take more with max_records"
        )


def _without(part: np.ndarray, near: Container[int], name: str, where: str) -> np.ndarray:
    """The positions of a part that are not near duplicates; UserError where none is left."""
    kept = np.array([i for i in part if i not in near], dtype=np.int64)
    if not len(kept):
        raise UserError(
            f"{where}.near_duplicates: all {len(part)} records of the {name} split are near "
            "duplicates of earlier ones; raise the threshold, or write `null` to keep them, or "
            "use data with fewer duplicates"
        )
    return kept


def _check_strata(labels: list[Any], sizes: tuple[int, int], where: str) -> None:
    counts = Counter(labels)
    rare, members = min(counts.items(), key=lambda item: (item[1], str(item[0])))
    if members < 3:
        raise UserError(
            f"{where}.method: stratified needs three records of each label, one for each split, "
            f"and '{excerpt(rare)}' has {members}; use method: random, or leave that label out"
        )
    for name, size in zip(("validation", "test"), sizes, strict=True):
        if size < len(counts):
            raise UserError(
                f"{where}.{name}: {size} records cannot hold {len(counts)} labels; raise it to "
                f"{len(counts)} or more, or use method: random"
            )


def _shuffle(
    n: int, validation: int, test: int, seed: int, strata: np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # Imported here: it takes more than a second, and a contiguous split has no use for it.
    from sklearn.model_selection import train_test_split

    def part(positions: np.ndarray, size: int) -> list[np.ndarray]:
        try:
            return train_test_split(
                positions,
                test_size=size,
                random_state=seed,
                stratify=None if strata is None else strata[positions],
            )
        except ValueError as error:
            raise UserError(
                f"{where}.method: {error} Use method: random, or change {where}.validation or "
                f"{where}.test"
            ) from None

    rest, held_test = part(np.arange(n), test)
    train, held_validation = part(rest, validation)
    return train, held_validation, held_test


def _cut(
    n: int, validation: int, test: int, chapters: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Training, validation, test as runs of positions, cut between chapters where that is near."""
    changes = (
        np.array([], dtype=np.int64)
        if chapters is None
        else np.flatnonzero(chapters[1:] != chapters[:-1]) + 1
    )
    test_start = _nearest(changes, n, test, lowest=2)
    validation_start = _nearest(changes, test_start, validation, lowest=1)
    order = np.arange(n)
    return (
        order[:validation_start],
        order[validation_start:test_start],
        order[test_start:],
    )


def _nearest(changes: np.ndarray, end: int, size: int, lowest: int) -> int:
    """Where a part of about `size` records that stops before `end` begins.

    lowest: records before it that earlier parts need at least. Of two changes equally near the
    earlier one is taken.
    """
    start = max(end - size, lowest)
    near = [c for c in changes.tolist() if lowest <= c < end and abs(end - c - size) <= size / 2]
    return min(near, key=lambda c: (abs(c - start), c), default=start)
