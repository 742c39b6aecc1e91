"""The weights that outputs were computed with, as a table carries them from stage to stage.

In its attributes, which pandas keeps in a Parquet file: scores are of one evaluation, and a column
would say the same in each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_KEY = "weights"
DEQUANTIZED = "dequantized"


def write(table: pd.DataFrame, weights: str) -> None:
    """Only where they are not as trained: what was evaluated so keeps its bytes."""
    if weights == DEQUANTIZED:
        table.attrs[_KEY] = weights


def carry(source: pd.DataFrame, table: pd.DataFrame) -> None:
    """Let scores say what the outputs say that they were computed from."""
    table.attrs = dict(source.attrs)


def read(table: pd.DataFrame) -> str:
    return table.attrs.get(_KEY, "as trained")
