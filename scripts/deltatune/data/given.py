"""Splits that the source of the records names: taken as they are, and what is missing cut."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt, nearest
from deltatune.data.assignment import Parts, assign
from deltatune.data.reasons import Code, Reason
from deltatune.data.records import SPLIT_NAMES, SPLITS
from deltatune.data.split_settings import Method


def split_of(value: object) -> str | None:
    """The split that a value of the column names, in any case; None for another value."""
    return SPLIT_NAMES.get(value.strip().casefold()) if isinstance(value, str) else None


def reason(value: str | None, column: str) -> Reason | None:
    """Why a record has no split, or None where it has one."""
    if split_of(value):
        return None
    if value is None:
        return Reason(Code.MISSING, column)
    plain = value.strip()
    if not plain:
        return Reason(Code.EMPTY, column)
    near = nearest(plain, SPLIT_NAMES)
    return Reason(Code.UNKNOWN_SPLIT, column, value=plain[:60], nearest=near)


def names_taken(values: Collection[str]) -> list[str]:
    """The words that are read as another one, such as `dev is validation`. values: of the column,
    each once."""
    taken = {value.strip(): split for value in values if (split := split_of(value))}
    return [f"'{value}' is {split}" for value, split in taken.items() if value != split]


def assign_given(
    records: pd.DataFrame,
    given: Sequence[str],
    named: Collection[str],
    keys: Sequence[str],
    groups: Sequence[str],
    label_field: str | None,
    method: Method,
    validation: float,
    test: float,
    seed: int,
    where: str,
    remaining: str,
) -> Parts:
    """Training, validation and test as the source names them; one that it does not name is cut
    from training.

    given: the split of each record. named: the splits that the source names. groups: of each
    record, "" for one by itself. validation, test: sizes of what is cut, of the training records.
    The others, and the errors beside those below: see `assign`.

    Raises UserError where a split that is named has no record left, there is nothing to train on,
    or a group is in two of them.
    """
    places = {name: np.array([i for i, s in enumerate(given) if s == name], int) for name in SPLITS}
    for name in SPLITS:
        if len(places[name]) == 0 and (name in named or name == "train"):
            why = (
                f"no record of the {name} split that the data give is left ({remaining})"
                if name in named
                else f"the data give no record for training, only for {' and '.join(sorted(named))}"
            )
            raise UserError(f"{where}: {why}; look into the source of the records")
    _refuse_straddling(groups, given, where)
    pool = places["train"]
    cut_sizes = {
        name: None if name in named else size
        for name, size in (("validation", validation), ("test", test))
    }
    train, *cut = assign(
        records.iloc[pool],
        [keys[i] for i in pool],
        any(groups),
        label_field,
        method,
        cut_sizes["validation"],
        cut_sizes["test"],
        seed,
        where,
        f"{len(pool)} of them given for training; {remaining}",
    )
    held_out = (
        places[name] if name in named else pool[part]
        for name, part in zip(("validation", "test"), cut, strict=True)
    )
    return (pool[train], *held_out)


def _refuse_straddling(groups: Sequence[str], given: Sequence[str], where: str) -> None:
    splits: dict[str, set[str]] = {}
    for group, split in zip(groups, given, strict=True):
        if group:
            splits.setdefault(group, set()).add(split)
    straddling = {group: names for group, names in splits.items() if len(names) > 1}
    if straddling:
        example, names = next(iter(straddling.items()))
        records = sum(group in straddling for group in groups)
        listed = " and ".join(name for name in SPLITS if name in names)
        raise UserError(
            f"{where}.group: {len(straddling)} groups with {records} records are in more than one "
            f"of the given splits; the first, '{excerpt(example)}', is in {listed}. Correct the "
            "splits, or leave out split.group: the records of a group are then taken as independent"
        )


def account(
    given: Mapping[int, str],
    names: Sequence[str],
    unusable: Collection[int],
    excluded: Collection[int],
    frames: Mapping[str, pd.DataFrame],
) -> dict[str, dict[str, int]]:
    """What became of the records of each given split, or of each part of a mixture.

    given: row -> split or part. names: those that there may be, in order. unusable, excluded: rows.
    frames: the splits as they are used.
    Returns {name: {"records", "unusable", "beyond_max_records", "repeated", and for each
    split of `frames` with some of them its name}}; "records" is the sum of the others.
    """
    bad, repeated = set(unusable), set(excluded)
    counts = {}
    for name in names:
        rows = {row for row, part in given.items() if part == name}
        if not rows:
            continue
        used = {part: len(rows & set(frame["id"])) for part, frame in frames.items()}
        parts = {"unusable": len(rows & bad), "repeated": len(rows & repeated)}
        beyond = len(rows) - sum(parts.values()) - sum(used.values())
        counts[name] = {
            "records": len(rows),
            **parts,
            "beyond_max_records": beyond,
            **{part: count for part, count in used.items() if count or part == name},
        }
    return counts


def describe(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """What is said of given splits, a sentence each. counts: see `account`."""
    notes = []
    for name, count in counts.items():
        cut = [f"{count[part]} cut for {part}" for part in SPLITS if part != name and part in count]
        left_out = {
            "unusable": count["unusable"],
            "left out as repeated": count["repeated"],
            "beyond max_records": count["beyond_max_records"],
        }
        lost = [f"{number} {why}" for why, number in left_out.items() if number]
        details = "".join(f", {part}" for part in [*cut, *lost])
        notes.append(f"{name} is given: {count['records']} records{details}")
    return notes
