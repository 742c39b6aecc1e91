"""Which split a record is in, by a hash of a text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from deltatune.core.errors import UserError

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
                f"{where}.method: by the hash of their texts none of the {len(texts)} records is "
                f"in the {name} split; give more data, or change {where}.validation, {where}.test "
                f"or {where}.seed"
            )
    train, validation_part, test_part = (np.flatnonzero(mask) for mask in masks.values())
    return train, validation_part, test_part
