"""Which records `max_records` leaves, by each of the methods."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deltatune.data.assignment import fractions
from deltatune.data.split_settings import Method

LEAST = 3
"""Records of a class that are drawn where it has so many: one for each split."""
_SALT = "max_records\x1f"
"""Before a key, so that what is drawn and what is in a split are independent."""


def draw_each(
    given: Sequence[str],
    keys: Sequence[str],
    labels: Sequence[Any] | None,
    method: Method,
    count: int | None,
    seed: int,
) -> np.ndarray:
    """Positions of at most `count` records, in order: of each given split in proportion and of none
    fewer than LEAST if possible, drawn in each as `draw` does.

    given: the split of each record. The others: see `draw`.
    """
    if count is None or count >= len(keys):
        return np.arange(len(keys))
    drawn = []
    for split, size in _shares(Counter(given), count).items():
        of_split = np.array([i for i, each in enumerate(given) if each == split])
        its_labels = [labels[i] for i in of_split] if labels is not None else None
        chosen = draw([keys[i] for i in of_split], its_labels, method, size, seed)
        drawn.append(of_split[chosen])
    return np.sort(np.concatenate(drawn))


def draw(
    keys: Sequence[str], labels: Sequence[Any] | None, method: Method, count: int | None, seed: int
) -> np.ndarray:
    """Positions of at most `count` records, in order.

    keys: the group or the text of each record; labels: its class, where there are classes, None
    otherwise. With "contiguous" these are the first, as its parts are by order. With "hash" a hash
    of seed and key decides, so that records added behind the others replace few. Otherwise they
    are drawn at random, of each class in proportion, and of none fewer than LEAST if possible.
    """
    total = len(keys)
    if count is None or count >= total:
        return np.arange(total)
    if method == "contiguous":
        return np.arange(count)
    if method == "hash":
        values = fractions((f"{_SALT}{key}" for key in keys), seed)
        return np.sort(np.argsort(values, kind="stable")[:count])
    generator = np.random.default_rng(seed)
    if labels is None:
        return np.sort(generator.choice(total, count, replace=False))
    positions: dict[Any, list[int]] = {}
    for position, label in enumerate(labels):
        positions.setdefault(label, []).append(position)
    shares = _shares({label: len(part) for label, part in positions.items()}, count)
    parts = [generator.choice(positions[label], n, replace=False) for label, n in shares.items()]
    return np.sort(np.concatenate(parts))


def _shares(counts: Mapping[Any, int], count: int) -> dict[Any, int]:
    """How many of each class or split, in the order of their names: by largest remainders, then
    from the largest share to those below LEAST."""
    total = sum(counts.values())
    names = sorted(counts, key=str)
    shares = {name: count * counts[name] // total for name in names}
    by_remainder = sorted(names, key=lambda name: -(count * counts[name] % total))
    for name in by_remainder[: count - sum(shares.values())]:
        shares[name] += 1
    for least in range(1, LEAST + 1):
        for name in names:
            largest = max(names, key=shares.__getitem__)
            if shares[name] < min(least, counts[name]) and shares[largest] > least:
                shares[largest] -= 1
                shares[name] += 1
    return shares
