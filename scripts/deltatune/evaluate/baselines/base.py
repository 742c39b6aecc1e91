"""What a plain baseline is: a system without a model, evaluated like any other.

Modules here import nothing heavy: the Snakefile reads the names at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from deltatune.tasks.base import TaskKind


@dataclass(frozen=True)
class Baseline:
    """title: what the report calls it. predict: from the training records, the records that the
    models are asked, and the kind of the task: the answer, or the label, of each record that is
    asked. Records have id and the kind's fields."""

    title: str
    predict: Callable[[pd.DataFrame, pd.DataFrame, TaskKind], Sequence[str]]


def most_frequent(values: pd.Series) -> str:
    """The most frequent value, the first of those that are equally frequent."""
    return values.groupby(values, sort=False).size().idxmax()


def joined(records: pd.DataFrame, fields: Sequence[str]) -> pd.Series:
    """The fields of each record as one text, a line for each."""
    return records[list(fields)].agg("\n".join, axis=1)
