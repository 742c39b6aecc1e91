"""Which split a record is in: by a hash of its text, or with all records of its group."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt

Parts = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Positions of the training, validation and test records."""


def fractions(texts: Sequence[str], seed: int) -> np.ndarray:
    """A number in [0, 1) for each text, of which the text and the seed are all that decides."""
    keys = (f"{seed}\x1f{text}".encode("utf-8", "surrogatepass") for text in texts)
    numbers = (hashlib.blake2b(key, digest_size=8).digest() for key in keys)
    # 53 bits, as many as a float has: 2**64 - 1 of 2**64 would be rounded to 1.
    return np.array([(int.from_bytes(n, "big") >> 11) / 2**53 for n in numbers], dtype=np.float64)


def by_hash(texts: Sequence[str], validation: float, test: float, seed: int, where: str) -> Parts:
    """Each text on its own: the lowest fractions are the test, the next ones the validation.

    validation, test: shares in (0, 1), which hold approximately. where: path of the split in
    config.yaml. Raises UserError where a part is empty.
    """
    if not (0 < validation < 1 and 0 < test < 1):
        raise ValueError(f"{where}: a hash takes shares, not {validation} and {test} records")
    values = fractions(texts, seed)
    in_test = values < test
    in_validation = ~in_test & (values < test + validation)
    masks = {"training": ~in_test & ~in_validation, "validation": in_validation, "test": in_test}
    for name, mask in masks.items():
        if not mask.any():
            raise UserError(
                f"{where}.method: by the hash of text or group none of the {len(texts)} records is "
                f"in the {name} split; give more data, or change {where}.validation, {where}.test "
                f"or {where}.seed"
            )
    train, validation_part, test_part = (np.flatnonzero(mask) for mask in masks.values())
    return train, validation_part, test_part


def by_groups(
    groups: Sequence[str],
    strata: Sequence[Any] | None,
    validation: int,
    test: int,
    seed: int,
    where: str,
) -> Parts:
    """Whole groups, with about as many records, and as many of each label, as were asked for.

    groups: of each record. strata: the labels to balance, or None. validation, test: numbers of
    records. In the order of their hashes, each group joins the test if that brings its counts
    nearer (in squared differences) to those asked for, then the others the validation, and the rest
    is for training. scikit-learn's GroupShuffleSplit counts groups instead of records, and
    StratifiedGroupKFold knows only parts of 1 / k. Raises UserError where a part would have no
    record, or none of a label.
    """
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    if len(members) < 3:
        raise UserError(
            f"{where}.group: the records are of {len(members)} groups, and training, validation "
            "and test need one each; give more data, or name another column"
        )
    labels = [""] * len(groups) if strata is None else strata
    counts = {group: Counter(labels[i] for i in rows) for group, rows in members.items()}
    total = Counter(labels)
    remaining = [
        group for _, group in sorted(zip(fractions(list(members), seed), members, strict=True))
    ]

    def take(size: int, reserved: int) -> list[str]:
        """Move groups out of `remaining`, but for so many that later parts need."""
        wanted = {label: count * size / len(groups) for label, count in total.items()}
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
        for label in total:
            others = [g for g in remaining if g not in taken and label in counts[g]]
            if not have[label] and others and len(remaining) - len(taken) > reserved:
                add(min(others, key=change))
        remaining[:] = [group for group in remaining if group not in taken]
        return list(taken)

    in_test = take(test, 2)
    in_validation = take(validation, 1)
    parts = {"training": remaining, "validation": in_validation, "test": in_test}
    for name, part in parts.items():
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
