"""The weights that outputs were computed with, and by what, as a table carries them from stage to
stage.

In its attributes, which pandas keeps in a Parquet file: scores are of one evaluation, and a column
would say the same in each row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_KEY = "weights"
DEQUANTIZED = "dequantized"
_BACKEND, TRANSFORMERS = "backend", "transformers"


def write(table: pd.DataFrame, weights: str, backend: str = TRANSFORMERS) -> None:
    """Only where they are not as trained, and it was not transformers: what was evaluated so keeps
    its bytes."""
    if weights == DEQUANTIZED:
        table.attrs[_KEY] = weights
    if backend != TRANSFORMERS:
        table.attrs[_BACKEND] = backend


def carry(source: pd.DataFrame, table: pd.DataFrame) -> None:
    """Let scores say what the outputs say that they were computed from."""
    table.attrs = dict(source.attrs)


def read(table: pd.DataFrame) -> str:
    return table.attrs.get(_KEY, "as trained")


def backend(table: pd.DataFrame) -> str:
    """`evaluation.backend` of the outputs."""
    return table.attrs.get(_BACKEND, TRANSFORMERS)
