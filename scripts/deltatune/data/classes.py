"""Classes of the splits: how many records of each, and what their lack means."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from deltatune.core.text import excerpt

FEW = 5
"""With fewer test records than this a class's own figures, such as its F1, say next to nothing."""

Counts = Mapping[str, Mapping[str, int]]
"""Split -> class -> number of records."""


def count_classes(
    splits: Mapping[str, pd.DataFrame], label_field: str, names: Sequence[str]
) -> dict[str, dict[str, int]]:
    """The records of each class in each split, in the order of the names, zeros included."""
    counts = {split: Counter(frame[label_field]) for split, frame in splits.items()}
    return {split: {name: count[name] for name in names} for split, count in counts.items()}


def absent(counts: Counts, split: str) -> list[str]:
    """The classes without a record in a split."""
    return [name for name, count in counts[split].items() if not count]


def rare(counts: Counts, split: str = "test") -> dict[str, int]:
    """The classes with a record in a split, but fewer than FEW, and how many."""
    return {name: count for name, count in counts[split].items() if 0 < count < FEW}


def shortages(counts: Counts, near_duplicates: int = 0) -> list[str]:
    """What the lack of records of a class means, a sentence for each kind; [] where none lacks.

    near_duplicates: how many records of validation and test were left out for that reason.
    """
    cause = (
        f" ({near_duplicates} near duplicates were left out: a higher split.near_duplicates keeps "
        "more)"
        if near_duplicates
        else ""
    )
    lines = []
    if names := absent(counts, "train"):
        lines.append(f"no training record of {_listed(names)}: it cannot be learned")
    if names := absent(counts, "validation"):
        lines.append(f"no validation record of {_listed(names)}{cause}")
    if names := absent(counts, "test"):
        lines.append(f"no test record of {_listed(names)}: nothing is measured on it{cause}")
    if few := rare(counts):
        lines.append(f"fewer than {FEW} test records of {_listed(few)}")
    return lines


def _listed(names: Sequence[str] | Mapping[str, int]) -> str:
    """'a', 'b' and 3 more; with their numbers where there are some."""
    numbers = names if isinstance(names, Mapping) else {}
    shown = [
        f"'{excerpt(name, 60)}'" + (f" ({numbers[name]})" if numbers else "")
        for name in list(names)[:10]
    ]
    return ", ".join(shown) + f" and {len(names) - 10} more" * (len(names) > 10)
