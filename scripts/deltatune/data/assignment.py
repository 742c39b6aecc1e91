"""Which split a record is in, by each of the methods."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.duplicates import round_up
from deltatune.data.frames import alike
from deltatune.data.split_settings import Method

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions of the training, validation and test records."""


def assign(
    records: pd.DataFrame,
    keys: Sequence[str],
    grouped: bool,
    label_field: str | None,
    method: Method,
    validation: float | None,
    test: float | None,
    seed: int,
    where: str,
    remaining: str,
) -> Parts:
    """Divide records into training, validation and test.

    records: in order, with label and chapter where they have them. keys: the group of each or, by
    itself, its text. grouped: whether there are groups, which stay whole, see `_by_groups`.
    method: "random" or "stratified" by the label (both scikit-learn's train_test_split: the test
    first, then the validation from what remains), "contiguous": the last records are the test and
    those before them the validation, or "hash": a hash of the seed and of the key, so that records
    added behind the others move none of them from one split to another. A contiguous cut moves to
    the nearest change of `chapter` if the part then differs by at most half from what was asked,
    and takes no groups.
    validation, test: a share of the records in (0, 1), rounded up as scikit-learn does, or a number
    of records from 1 on; for "hash" a share, which holds approximately. None: that split is given,
    and nothing of these records is for it.
    where: path of the split in config.yaml. remaining: which records these are, for messages.

    Raises UserError where a split would be empty, a class too small to stratify, or all labels
    the same, and names the setting to change.
    """
    if grouped and method == "contiguous":
        raise ValueError(f"{where}: a contiguous split divides groups")
    if validation is None and test is None:
        nothing = np.array([], dtype=np.int64)
        return np.arange(len(records)), nothing, nothing
    sizes = _sizes(len(records), validation, test, where, remaining)
    labels = alike(records[label_field]) if label_field else None
    _check_labels(labels, where)
    if method == "hash":
        return _by_hash(keys, validation or 0, test or 0, seed, where)
    if method == "contiguous":
        chapters = records["chapter"].fillna("").to_numpy() if "chapter" in records else None
        return _cut(len(records), *sizes, chapters)
    if method == "stratified" and labels is None:
        raise UserError(f"{where}.method: this task has no label to stratify by")
    strata = labels if method == "stratified" else None
    if grouped:
        return _by_groups(keys, strata, *sizes, seed, where)
    if strata is not None:
        _check_strata(strata, sizes, where)
    return _shuffle(len(records), *sizes, seed, strata, where)


def _sizes(
    n: int, validation: float | None, test: float | None, where: str, remaining: str
) -> tuple[int, int]:
    """Numbers of validation and test records out of n, so that all splits that are cut have some;
    0 for one that is given."""
    sizes = []
    for name, asked in (("validation", validation), ("test", test)):
        if asked is None:
            sizes.append(0)
            continue
        if not (0 < asked < 1 or (asked >= 1 and float(asked).is_integer())):
            raise UserError(
                f"{where}.{name}: {asked} is neither a fraction between 0 and 1 nor a number of "
                "records; no split may be empty"
            )
        sizes.append(round_up(asked * n) if asked < 1 else int(asked))
    needed = 1 + sum(size > 0 for size in sizes)
    if n < needed:
        raise UserError(
            f"{where}: {n} records are left to split ({remaining}), and {_listed(sizes)} need one "
            "each; give more data, or raise max_records"
        )
    if sum(sizes) >= n:
        cut = [f"{k} ({s})" for k, s in zip(("validation", "test"), sizes, strict=True) if s]
        keys = [f"{where}.{part.partition(' ')[0]}" for part in cut]
        raise UserError(
            f"{where}: {' and '.join(cut)} leave nothing of the {n} "
            f"records for training ({remaining}); lower {' or '.join(keys)}"
        )
    return sizes[0], sizes[1]


def _listed(sizes: Sequence[int]) -> str:
    """The splits that records are cut into, in words. sizes: of validation and test."""
    if all(sizes):
        return "training, validation and test"
    return f"training and {'validation' if sizes[0] else 'test'}"


def _check_labels(labels: list[Any] | None, where: str) -> None:
    if labels and len(set(labels)) < 2:
        raise UserError(
            f"{where}: all {len(labels)} records carry the label '{excerpt(labels[0])}'; there is "
            "nothing to classify. Add records of another class, or take more with max_records"
        )


# ---------------------------------------------------------------- contiguous, random, stratified


def _cut(n: int, validation: int, test: int, chapters: np.ndarray | None) -> Parts:
    """Training, validation, test as runs of positions, cut between chapters where that is near."""
    changes = (
        np.array([], dtype=np.int64)
        if chapters is None
        else np.flatnonzero(chapters[1:] != chapters[:-1]) + 1
    )
    test_start = _nearest(changes, n, test, lowest=2 if validation else 1)
    validation_start = _nearest(changes, test_start, validation, lowest=1)
    order = np.arange(n)
    return (
        order[:validation_start],
        order[validation_start:test_start],
        order[test_start:],
    )


def _nearest(changes: np.ndarray, end: int, size: int, lowest: int) -> int:
    """Where a part of about `size` records that stops before `end` begins.

    size: 0 for a part that is given. lowest: records before it that earlier parts need at least. Of
    two changes equally near the earlier one is taken.
    """
    if not size:
        return end
    start = max(end - size, lowest)
    near = [c for c in changes.tolist() if lowest <= c < end and abs(end - c - size) <= size / 2]
    return min(near, key=lambda c: (abs(c - start), c), default=start)


def _check_strata(labels: list[Any], sizes: tuple[int, int], where: str) -> None:
    counts = Counter(labels)
    rare, members = min(counts.items(), key=lambda item: (item[1], str(item[0])))
    parts = 1 + sum(size > 0 for size in sizes)
    if members < parts:
        raise UserError(
            f"{where}.method: stratified needs {'three' if parts == 3 else 'two'} records of each "
            f"label, one for each split, and '{excerpt(rare)}' has {members}; use method: random, "
            "or leave that label out"
        )
    for name, size in zip(("validation", "test"), sizes, strict=True):
        if 0 < size < len(counts):
            raise UserError(
                f"{where}.{name}: {size} records cannot hold {len(counts)} labels; raise it to "
                f"{len(counts)} or more, or use method: random"
            )


def _shuffle(
    n: int, validation: int, test: int, seed: int, strata: list[Any] | None, where: str
) -> Parts:
    # Imported here: it takes more than a second, and a contiguous split has no use for it.
    from sklearn.model_selection import train_test_split

    classes = {name: number for number, name in enumerate(sorted({*(strata or ())}))}
    labels = None if strata is None else np.array([classes[name] for name in strata])

    def part(positions: np.ndarray, size: int) -> list[np.ndarray]:
        if not size:
            return [positions, positions[:0]]
        try:
            return train_test_split(
                positions,
                test_size=size,
                random_state=seed,
                stratify=None if labels is None else labels[positions],
            )
        except ValueError as error:
            raise UserError(
                f"{where}.method: {error} Use method: random, or change {where}.validation or "
                f"{where}.test"
            ) from None

    rest, held_test = part(np.arange(n), test)
    train, held_validation = part(rest, validation)
    return train, held_validation, held_test


# ---------------------------------------------------------------- by hash, by group


def fractions(texts: Iterable[str], seed: int) -> np.ndarray:
    """A number in [0, 1) for each text, of which the text and the seed are all that decides."""
    keys = (f"{seed}\x1f{text}".encode("utf-8", "surrogatepass") for text in texts)
    numbers = (hashlib.blake2b(key, digest_size=8).digest() for key in keys)
    # 53 bits, as many as a float has: 2**64 - 1 of 2**64 would be rounded to 1.
    return np.fromiter(((int.from_bytes(n, "big") >> 11) / 2**53 for n in numbers), np.float64)


def _by_hash(texts: Sequence[str], validation: float, test: float, seed: int, where: str) -> Parts:
    """Each text on its own: the lowest fractions are the test, the next ones the validation.

    validation, test: shares in [0, 1), which hold approximately, 0 for none. where: path of the
    split in config.yaml. Raises UserError where a part is empty.
    """
    if not (0 <= validation < 1 and 0 <= test < 1):
        raise ValueError(f"{where}: a hash takes shares, not {validation} and {test} records")
    values = fractions(texts, seed)
    in_test = values < test
    in_validation = ~in_test & (values < test + validation)
    masks = {"training": ~in_test & ~in_validation, "validation": in_validation, "test": in_test}
    shares = {"validation": validation, "test": test}
    for name, mask in masks.items():
        if shares.get(name, 1) and not mask.any():
            raise UserError(
                f"{where}.method: by the hash of text or group none of the {len(texts)} records is "
                f"in the {name} split; give more data, or change {where}.validation, {where}.test "
                f"or {where}.seed"
            )
    train, validation_part, test_part = (np.flatnonzero(mask) for mask in masks.values())
    return train, validation_part, test_part


def _by_groups(
    groups: Sequence[str],
    strata: Sequence[Any] | None,
    validation: int,
    test: int,
    seed: int,
    where: str,
) -> Parts:
    """Whole groups, with about as many records, and as many of each label, as were asked for.

    groups: of each record. strata: the labels to balance, or None. validation, test: numbers of
    records, 0 for none. In the order of their hashes, each group joins the test if that brings its
    counts nearer (in squared differences) to those asked for, then the others the validation, and
    the rest is for training. scikit-learn's GroupShuffleSplit counts groups instead of records, and
    StratifiedGroupKFold knows only parts of 1 / k. Raises UserError where a part would have no
    record, or none of a label.
    """
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    sizes = {"training": len(groups), "validation": validation, "test": test}
    if len(members) < sum(size > 0 for size in sizes.values()):
        raise UserError(
            f"{where}.group: the records are of {len(members)} groups, and "
            f"{_listed((validation, test))} need one each; give more data, or name another column"
        )
    labels = [""] * len(groups) if strata is None else strata
    counts = {group: Counter(labels[i] for i in rows) for group, rows in members.items()}
    total = Counter(labels)
    remaining = [
        group for _, group in sorted(zip(fractions(list(members), seed), members, strict=True))
    ]

    def wanted(size: int) -> dict[Any, float]:
        return {label: count * size / len(groups) for label, count in total.items()}

    in_test = _take(remaining, counts, wanted(test), reserved=2 if validation else 1)
    in_validation = _take(remaining, counts, wanted(validation), reserved=1)
    parts = {"training": remaining, "validation": in_validation, "test": in_test}
    for name, part in parts.items():
        if not sizes[name]:
            continue
        there = {label for group in part for label in counts[group]}
        for label in total:
            if label not in there:
                raise UserError(
                    f"{where}.method: stratified with whole groups leaves no record of "
                    f"'{excerpt(label)}' for the {name} split; use method: random, or another "
                    f"{where}.seed"
                )
    train, validation_part, test_part = (
        np.array([i for group in part for i in members[group]], dtype=np.int64)
        for part in parts.values()
    )
    return train, validation_part, test_part


def _take(
    remaining: list[str],
    counts: Mapping[str, Counter[Any]],
    wanted: Mapping[Any, float],
    reserved: int,
) -> list[str]:
    """Move groups out of `remaining`, but for so many that later parts need.

    counts: group -> records of each label. wanted: records of each label that the part should have;
    of none, no group is taken.
    """
    if not any(wanted.values()):
        return []
    have: Counter[Any] = Counter()
    taken: dict[str, None] = {}

    def change(group: str) -> float:
        """Of the sum of squared differences, if the group is taken."""
        return sum(n * (2 * (have[x] - wanted[x]) + n) for x, n in counts[group].items())

    def add(group: str) -> None:
        taken[group] = None
        have.update(counts[group])

    for group in remaining:
        if len(remaining) - len(taken) > reserved and change(group) <= 0:
            add(group)
    for label in wanted:
        others = [g for g in remaining if g not in taken and label in counts[g]]
        if not have[label] and others and len(remaining) - len(taken) > reserved:
            add(min(others, key=change))
    remaining[:] = [group for group in remaining if group not in taken]
    return list(taken)
