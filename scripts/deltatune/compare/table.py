"""The tables of comparisons: their columns, and how they are read back."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

COLUMNS = [
    *("experiment", "task", "model", "metric", "main", "higher_is_better", "against"),
    *("n", "unit", "clusters", "cluster_unit", "differing", "seeds"),
    *("base", "tuned", "delta", "seed_sd", "estimand", "ci_low", "ci_high"),
    *("p_value", "p_is_floor", "p_holm", "family", "alpha", "detectable"),
    *("adapters_low", "adapters_high", "adapters_p", "adapters_p_is_floor", "adapters_p_holm"),
    *("item_se", "item_df", "no_interval", "no_p", "method"),
]
"""Of comparison.csv, cross_task.csv and baselines.csv, in their order; `compare.fact.Fact` says
what they hold."""

TEXT = (
    *("experiment", "task", "model", "metric", "against", "unit", "cluster_unit", "estimand"),
    *("no_interval", "no_p", "method"),
)
FLAGS = ("main", "higher_is_better", "p_is_floor", "adapters_p_is_floor")


def read(path: str | Path) -> pd.DataFrame:
    """A table of comparisons; names stay text.

    pandas would take an experiment called 007 for a number, and one called NA for nothing.
    """
    frame = pd.read_csv(
        path, dtype=dict.fromkeys(TEXT, "str"), keep_default_na=False, na_values=[""]
    )
    texts = [name for name in TEXT if name in frame]
    return frame.assign(**{name: frame[name].fillna("") for name in texts})
