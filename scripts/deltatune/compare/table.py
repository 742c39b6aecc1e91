"""The tables of comparisons: their columns, and how they are read back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

COLUMNS = [
    *("experiment", "task", "model", "metric", "higher_is_better", "n", "base", "tuned", "delta"),
    *("ci_low", "ci_high", "p_value", "p_holm"),
]
"""Of comparison.csv, in their order; `Comparison` in `compare.statistics` says what they hold."""

TEXT = ("experiment", "task", "model", "metric", "unit", "method")
"""Columns of text in any table of comparisons."""


def read(path: str | Path) -> pd.DataFrame:
    """A table that `paired.compare` or `paired.join` made; names stay text.

    pandas would take an experiment called 007 for a number, and one called NA for nothing.
    """
    return pd.read_csv(
        path, dtype=dict.fromkeys(TEXT, "str"), keep_default_na=False, na_values=[""]
    )
