"""The comparisons of a table as a family of tests: Holm's correction, and what it could detect."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from deltatune.compare.intervals import Error, Part
from deltatune.compare.table import COLUMNS


def join(tables: Sequence[pd.DataFrame], confidence: float) -> pd.DataFrame:
    """All comparisons in one table of COLUMNS.

    The family are the main rows, one for each experiment and task, that have a p-value: theirs is
    adjusted (`p_holm`). Secondary rows are not, and have none. alpha: the level that decided the
    row. detectable: see `compare.fact.Fact`.
    """
    table = pd.concat(tables, ignore_index=True)
    level = round(1 - confidence, 12)
    main = table["main"].to_numpy(dtype=bool)
    for p, adjusted in (("p_value", "p_holm"), ("adapters_p", "adapters_p_holm")):
        table[adjusted] = np.where(main, holm(table[p].where(main)), np.nan)
    # Two seeds have no p-value of their own: that of the adapters decides with the interval.
    deciding = table["p_value"].where(table["seeds"] != 2, table["adapters_p"]).where(main)
    table["family"] = int(deciding.notna().sum())
    table["alpha"] = np.where(main, alphas(deciding, level), level)
    table["detectable"] = _detectable(table, level)
    return table[COLUMNS]


def independent(tables: Sequence[pd.DataFrame], confidence: float) -> pd.DataFrame:
    """The same of rows that are no family: each is tested at the full level.

    For baselines: "better than each of them" is an intersection-union test, whose level is that of
    its parts (Berger 1982, "Multiparameter Hypothesis Testing and Acceptance Sampling").
    """
    table = pd.concat(tables, ignore_index=True)
    level = round(1 - confidence, 12)
    table[["p_holm", "adapters_p_holm"]] = np.nan
    table["family"], table["alpha"] = 0, level
    table["detectable"] = _detectable(table, level)
    return table[COLUMNS]


def holm(p: Sequence[float] | pd.Series) -> np.ndarray:
    """p-values adjusted for multiple testing by Holm's step-down method, [m] -> [m].

    Holm 1979, "A Simple Sequentially Rejective Multiple Test Procedure". statsmodels has it too;
    it would be the one thing that a run needs it for.

    A NaN (a comparison that could not be tested) stays NaN and does not count as a test.
    """
    adjusted = np.array(p, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(adjusted))
    order = tested[np.argsort(adjusted[tested])]
    steps = adjusted[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def alphas(p: Sequence[float] | pd.Series, level: float) -> np.ndarray:
    """The level at which Holm's method decided each p-value, [m] -> [m].

    The r-th smallest of m is compared with level / (m - r + 1). What is not rejected, and what
    comes after it, is decided by the level at which the method stopped. A NaN gets level / m.
    """
    p = np.array(p, dtype=np.float64)
    tested = np.flatnonzero(~np.isnan(p))
    m = len(tested)
    result = np.full(len(p), level / max(m, 1))
    stopped = None
    for rank, place in enumerate(tested[np.argsort(p[tested], kind="stable")]):
        step = level / (m - rank)
        if stopped is None and p[place] > step:
            stopped = step
        result[place] = step if stopped is None else stopped
    return result


def _detectable(table: pd.DataFrame, level: float) -> list[float]:
    """Of each row, at the level that decided it; infinite where no difference is so large."""
    rows = table.to_dict("records")
    values = [(detectable(row, level, row["alpha"]), row["most"]) for row in rows]
    return [math.inf if value > most else value for value, most in values]


def detectable(row: dict, level: float, alpha: float) -> float:
    """The smallest |delta| that is detected at alpha with a power of 80%; NaN where the row has no
    interval.

    With two seeds a difference must pass the test of the adapters at alpha, and the interval of the
    recipe at the level.
    """
    if row["no_interval"] or not np.isfinite(row["item_se"]):
        return np.nan
    records = Part(row["item_se"] ** 2, row["item_df"])
    adapters = Error(records).detectable(alpha)
    seeds = int(row["seeds"])
    if seeds == 1:
        return adapters
    recipe = Error(records, Part(row["seed_sd"] ** 2 / seeds, seeds - 1), seeds)
    if seeds == 2:
        return max(adapters, recipe.detectable(level))
    return recipe.detectable(alpha)
