"""How a comparison came out, in one code, and which facts the page speaks of.

A *pair* is one experiment evaluated on one task; its *main* fact is that of the task's main metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

import pandas as pd

from deltatune.compare.fact import Fact
from deltatune.report.numbers import CONFIDENCE, finite, is_true


class Outcome(StrEnum):
    """How a comparison came out."""

    IMPROVED = "improved"
    """The p-value that decides is below the level, and the difference goes the good way."""
    WORSENED = "worsened"
    """The same, the bad way."""
    EQUIVALENT = "equivalent"
    """No difference is shown, and the interval lies within the margin of the metric."""
    UNDETECTED = "undetected"
    """The test shows no difference."""
    UNTESTED = "untested"
    """There are figures but no test, and `Fact.no_p` says why."""
    UNKNOWN = "unknown"
    """There is no figure of the base or none of tuned."""


DECIDED = (Outcome.IMPROVED, Outcome.WORSENED)
"""What alone is called help or harm."""


def outcome(fact: Fact, level: float = CONFIDENCE, margin: float | None = None) -> Outcome:
    """How a comparison came out.

    From three seeds on the recipe's p-value decides. With one or two it is that of these adapters;
    with two, the rough interval of the recipe must leave out zero as well. Main facts against the
    base have p-values that are Holm-adjusted over their family, others unadjusted ones.

    level: 1 - confidence.
    margin: of the metric; differences up to it do not matter.
    """
    if not isinstance(fact, Fact):
        return _row_outcome(fact, level)
    if fact.base is None or fact.tuned is None or fact.gain is None:
        return Outcome.UNKNOWN
    p = deciding_p(fact)
    if p is None:
        return Outcome.UNTESTED
    if p < level and fact.gain != 0 and (fact.seeds != 2 or excludes_zero(fact)):
        return Outcome.IMPROVED if fact.gain > 0 else Outcome.WORSENED
    return Outcome.EQUIVALENT if is_within(fact, margin) else Outcome.UNDETECTED


def deciding_p(fact: Fact) -> float | None:
    """The p-value that is compared with the level; None where there is none."""
    return fact.p_adjusted if is_adjusted(fact) else fact.p


def is_adjusted(fact: Fact) -> bool:
    """Whether the deciding p-value is Holm-adjusted."""
    return fact.p_adjusted is not None


def excludes_zero(fact: Fact) -> bool:
    """Whether the interval of the estimand leaves out zero; False where there is none."""
    if not isinstance(fact, Fact):
        return _row_excludes_zero(fact)
    if fact.ci_low is None or fact.ci_high is None:
        return False
    return fact.ci_low > 0 or fact.ci_high < 0


def is_within(fact: Fact, margin: float | None) -> bool:
    """Whether the interval of the estimand lies within the margin around zero."""
    if margin is None or fact.ci_low is None or fact.ci_high is None:
        return False
    return -margin <= fact.ci_low and fact.ci_high <= margin


def level(confidence: float) -> float:
    """1 - confidence, without the error of floating point: 0.05, not 0.05000000000000004."""
    return round(1 - confidence, 12)


def own_facts(facts: Iterable[Fact], experiments: Mapping[str, Mapping]) -> list[Fact]:
    """Those of each experiment on the task that it was tuned on."""
    return [fact for fact in facts if _is_own(fact, experiments)]


def cross_task_facts(facts: Iterable[Fact], experiments: Mapping[str, Mapping]) -> list[Fact]:
    """Those of each experiment on tasks that it was not tuned on."""
    return [fact for fact in facts if not _is_own(fact, experiments)]


def _is_own(fact: Fact, experiments: Mapping[str, Mapping]) -> bool:
    return experiments.get(fact.experiment, {}).get("task", fact.task) == fact.task


def main_facts(facts: Iterable[Fact]) -> list[Fact]:
    """One for each pair (and baseline): the task's main metric."""
    return [fact for fact in facts if fact.main]


def by_pair(facts: Iterable[Fact]) -> list[list[Fact]]:
    """The facts of each pair, the main one before the others, in the order of the tables."""
    pairs: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        pairs.setdefault(fact.pair, []).append(fact)
    return [sorted(pair, key=lambda fact: not fact.main) for pair in pairs.values()]


def beats_all(controls: Sequence[Fact], level: float) -> bool:
    """Whether tuned is better than every one of some baselines: each is tested at the full level,
    which is the intersection-union test (Berger 1982)."""
    return bool(controls) and all(outcome(one, level) is Outcome.IMPROVED for one in controls)


# Rows of frames: until their last reader takes facts.


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


def _row_outcome(row: Mapping, confidence: float = CONFIDENCE) -> Outcome:
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
        detected = _row_excludes_zero(row)
    else:
        return Outcome.UNKNOWN
    if not detected or better == 0:
        return Outcome.UNDETECTED
    return Outcome.IMPROVED if better > 0 else Outcome.WORSENED


def _row_excludes_zero(row: Mapping) -> bool:
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
