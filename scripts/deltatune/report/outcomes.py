"""How a comparison came out, in one code, and which facts the page speaks of.

A *pair* is one experiment evaluated on one task; its *main* fact is that of the task's main metric.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from deltatune.compare.fact import Fact
from deltatune.report.numbers import finite


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
    """There is no finite figure of the base, or none of tuned."""


DECIDED = (Outcome.IMPROVED, Outcome.WORSENED)
"""What alone is called help or harm."""
NOT_TESTED = (Outcome.UNTESTED, Outcome.UNKNOWN)
"""What is neither shown nor not shown."""


def outcome(fact: Fact, level: float, margin: float | None = None) -> Outcome:
    """How a comparison came out.

    From three seeds on the recipe's p-value decides. With one or two it is that of these adapters;
    with two, the rough interval of the recipe must leave out zero as well. Main facts against the
    base have p-values that are Holm-adjusted over their family, others unadjusted ones.

    level: 1 - confidence.
    margin: of the metric; differences up to it do not matter.
    """
    if not all(map(finite, (fact.base, fact.tuned, fact.delta))):
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


def shown_of_adapters(fact: Fact, level: float) -> bool:
    """Whether the test of several seeds' adapters alone shows a difference, whatever decides."""
    p = fact.adapters_p_holm if is_adjusted(fact) else fact.adapters_p
    return fact.seeds > 1 and p is not None and p < level


def excludes_zero(fact: Fact) -> bool:
    """Whether the interval of the estimand leaves out zero; False where there is none."""
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
