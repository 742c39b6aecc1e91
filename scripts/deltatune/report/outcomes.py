"""How a comparison came out, and which of its rows decides.

A *pair* is one experiment evaluated on one task. Its *main* row is that of the task's main metric.
"""

from collections.abc import Mapping
from enum import StrEnum

import pandas as pd

from deltatune.report.numbers import CONFIDENCE, finite, is_true


class Outcome(StrEnum):
    """How a row of the comparison came out."""

    IMPROVED = "improved"
    """The adjusted p-value is below the level, and the difference goes the good way."""
    WORSENED = "worsened"
    """The same, the bad way."""
    UNDETECTED = "undetected"
    """The test detects no difference."""
    UNKNOWN = "unknown"
    """There is no base, no tuned value, or neither a p-value nor an interval."""


KEY = ["experiment", "task", "metric"]


def adjusted_p(row: Mapping) -> tuple[float | None, bool]:
    """(the p-value that decides, whether it is Holm-adjusted); None where there is none."""
    if finite(row.get("p_holm")):
        return float(row["p_holm"]), True
    if finite(row.get("p_value")):
        return float(row["p_value"]), False
    return None, False


def gain(row: Mapping) -> float | None:
    """The difference, positive where tuning made it better; None where it is not known."""
    if not finite(row.get("delta")):
        return None
    return float(row["delta"]) * (1 if is_true(row["higher_is_better"]) else -1)


def outcome(row: Mapping, confidence: float = CONFIDENCE) -> Outcome:
    """The p-value decides, at the level 1 - confidence; where no test gave one, whether the
    interval leaves out zero.
    """
    better = gain(row)
    if better is None or not (finite(row.get("base")) and finite(row.get("tuned"))):
        return Outcome.UNKNOWN
    p, _ = adjusted_p(row)
    if p is not None:
        detected = p < level(confidence)
    elif finite(row.get("ci_low")) and finite(row.get("ci_high")):
        detected = excludes_zero(row)
    else:
        return Outcome.UNKNOWN
    if not detected or better == 0:
        return Outcome.UNDETECTED
    return Outcome.IMPROVED if better > 0 else Outcome.WORSENED


def level(confidence: float) -> float:
    """1 - confidence, without the error of floating point: 0.05, not 0.05000000000000004."""
    return round(1 - confidence, 12)


def excludes_zero(row: Mapping) -> bool:
    return float(row["ci_low"]) > 0 or float(row["ci_high"]) < 0


def main_metric(pair: pd.DataFrame, experiments: Mapping) -> str:
    """The main metric of a pair: the experiment's own, or that of one tuned on this task.

    Where neither was measured, it is the metric of the pair's first row.
    """
    name, task = pair["experiment"].iloc[0], pair["task"].iloc[0]
    own = experiments.get(name, {})
    candidates = [own] if own.get("task") == task else []
    candidates += [one for one in experiments.values() if one.get("task") == task]
    measured = list(pair["metric"])
    for candidate in candidates:
        if candidate.get("main_metric") in measured:
            return candidate["main_metric"]
    return measured[0]


def main_rows(comparison: pd.DataFrame, experiments: Mapping) -> pd.DataFrame:
    """The main row of each pair, in the order of the comparison."""
    chosen = []
    for _, pair in comparison.groupby(["experiment", "task"], sort=False):
        chosen.append(pair[pair["metric"] == main_metric(pair, experiments)].iloc[[0]])
    return pd.concat(chosen) if chosen else comparison.iloc[:0]


def detail_of(details: pd.DataFrame, row: Mapping) -> dict:
    """The row of `details` that belongs to a row of the comparison, or {}."""
    if details is None or details.empty:
        return {}
    same = (details[KEY] == [row[key] for key in KEY]).all(axis=1)
    return details[same].iloc[0].to_dict() if same.any() else {}
