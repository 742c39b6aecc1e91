"""The tables of comparisons, read back as they were written."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

TEXT = ("experiment", "task", "model", "metric", "unit", "method")


def read(path: str | Path) -> pd.DataFrame:
    """A table that `paired.compare` or `paired.join` gave; names stay text.

    pandas would take an experiment called 007 for a number, and one called NA for nothing.
    """
    return pd.read_csv(
        path, dtype=dict.fromkeys(TEXT, "str"), keep_default_na=False, na_values=[""]
    )
