"""Pair by pair: what each main fact says, in one to three sentences of plain text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import Missing, codes, why_missing
from deltatune.report import numbers, outcomes
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome
from deltatune.report.words import phrases
from deltatune.report.words.conditions import excluded_share


@dataclass(frozen=True)
class PairSentence:
    """The outcome of one pair and its sentences (plain text, nothing escaped)."""

    experiment: str
    task: str
    metric: str
    outcome: Outcome
    text: str
    figures: str
    """'Accuracy 0.40 to 0.74'"""
    own: bool
    """False where the task is not the one that the experiment was tuned on."""


def pair_by_pair(data: ReportData) -> list[PairSentence]:
    """One for each main fact, own tasks before others."""
    own, cross_task = data.own_facts(), data.cross_task_facts()
    return [
        PairSentence(
            fact.experiment,
            fact.task,
            fact.metric,
            data.outcome(fact),
            sentence(data, fact),
            f"{data.metric_title(fact.metric)} {phrases.change(fact, data.decimals(fact))}",
            is_own,
        )
        for facts, is_own in ((own, True), (cross_task, False))
        for fact in outcomes.main_facts(facts)
    ]


def sentence(data: ReportData, fact: Fact) -> str:
    title = data.metric_title(fact.metric)
    result = data.outcome(fact)
    if result is Outcome.UNKNOWN:
        missing = "base" if fact.base is None else "tuned"
        return f"{title} on {fact.task} has no figure of the {missing} model."
    if result is Outcome.UNTESTED:
        return _untested(data, fact, title)
    if result in outcomes.DECIDED:
        return _decided(data, fact, title, result) + _negligible(data, fact)
    facts = _facts(data, fact)
    change = phrases.change(fact, data.decimals(fact))
    if result is Outcome.EQUIVALENT:
        margin = f"{data.within(fact):g}"
        subject = phrases.subject(fact.seeds)
        text = (
            f"{subject} left {title} on {fact.task} within {margin} of the base, "
            f"{_percent(data.confidence)} sure: {change} ({facts})."
        )
        return text
    text = f"A difference in {title} on {fact.task} is not shown: {change} ({facts})."
    return text + _why_not_shown(fact, data.level) + _not_excluded(data, fact)


def _decided(data: ReportData, fact: Fact, title: str, result: Outcome) -> str:
    improved = result is Outcome.IMPROVED
    verb = "raised" if fact.delta > 0 else "lowered"
    if improved and fact.higher_is_better:
        verb = "improved"
    change = phrases.change(fact, data.decimals(fact))
    text = f"{phrases.subject(fact.seeds)} {verb} {title} on {fact.task} from {change}"
    if not improved:
        text += ", which is worse"
    elif not fact.higher_is_better:
        text += ", and lower is better"
    return f"{text} ({_facts(data, fact)})." + _care(fact)


def _care(fact: Fact) -> str:
    """A remark where test and interval disagree."""
    if fact.ci_low is None or outcomes.excludes_zero(fact):
        return ""
    return " The interval includes zero, so take this with care."


def _negligible(data: ReportData, fact: Fact) -> str:
    """A remark where a difference is shown that is too small to matter."""
    margin = data.within(fact)
    if margin is None:
        return ""
    return f" The interval lies within the margin of {margin:g}, so both count as equivalent."


def _facts(data: ReportData, fact: Fact) -> str:
    """'+0.49; 95% interval 0.45 to 0.53, Holm-adjusted p ≤ 0.0003; 200 examples, 1 seed'."""
    decimals = data.decimals(fact)
    difference = numbers.format_signed(fact.delta, decimals)
    if percent := numbers.percent_change(fact):
        difference += f" or {percent}"
    name = numbers.interval_name(data.confidence)
    adapters = _interval(fact.adapters_low, fact.adapters_high, decimals)
    recipe = _interval(fact.ci_low, fact.ci_high, decimals)
    p = phrases.p_value(fact)
    if fact.seeds == 1:
        tests = [_list([f"{name} {adapters}" if adapters else "", p])]
    elif fact.seeds == 2:
        of_two = _list([f"{name} {adapters}" if adapters else "", p])
        tests = [f"of these two adapters {of_two}" if of_two else ""]
        tests.append(f"of the recipe, roughly, {recipe}" if recipe else "")
    else:
        tests = [_list([f"{name} {recipe}" if recipe else "", p])]
        of_these = f"of {phrases.these_adapters(fact.seeds)} alone {adapters}"
        tests.append(of_these if adapters else "")
    if fact.no_interval and not (adapters or recipe):
        tests.append(f"no interval, since {why_missing(fact.no_interval)}")
    sample = f"{phrases.sample(fact)}, {phrases.aggregation(fact, decimals)}"
    return "; ".join(filter(None, [difference, *tests, sample]))


def _interval(low: float | None, high: float | None, decimals: int) -> str:
    return "" if low is None or high is None else numbers.format_interval(low, high, decimals)


def _list(parts: list[str]) -> str:
    return ", ".join(filter(None, parts))


def _percent(share: float) -> str:
    return f"{100 * share:.4g}%"


def _why_not_shown(fact: Fact, level: float) -> str:
    """Where something else than the deciding test points to a difference."""
    adjusted = outcomes.is_adjusted(fact)
    alone = adjusted and fact.p is not None and fact.p < level <= fact.p_adjusted
    if alone and (fact.seeds != 2 or outcomes.excludes_zero(fact)):
        return (
            " Taken alone it would have counted; it does not after the correction for "
            f"{fact.family} comparisons."
        )
    if outcomes.shown_of_adapters(fact, level):
        return (
            f" The test of {phrases.these_adapters(fact.seeds)} alone is below the level; with the "
            "spread over training seeds the difference is not shown."
        )
    if fact.p is not None and fact.p >= level and outcomes.excludes_zero(fact):
        return (
            " The interval leaves out zero, but the p-value, which decides, is not below the level."
        )
    return ""


def _not_excluded(data: ReportData, fact: Fact) -> str:
    """What an undetected difference does not rule out."""
    if fact.differing == 0:
        share = excluded_share(fact.clusters, data.level)
        return (
            f" None of {numbers.plural(fact.clusters, fact.cluster_unit)} differs: a difference in "
            f"up to {share} of {fact.cluster_unit} cannot be excluded."
        )
    if fact.detectable is None:
        return ""
    if math.isinf(fact.detectable):
        return (
            f" {phrases.sample(fact)} and {numbers.plural(fact.seeds, 'seeds')} show no difference "
            f"that is possible with a power of 80%, at the level of {fact.alpha:.2g} that decides "
            "here."
        )
    smallest = numbers.format_number(fact.detectable, max(data.decimals(fact), 2))
    return (
        f" The smallest difference that {phrases.sample(fact)} and "
        f"{numbers.plural(fact.seeds, 'seeds')} show with a power of 80%, at the level of "
        f"{fact.alpha:.2g} that decides here, is about {smallest}."
    )


def _untested(data: ReportData, fact: Fact, title: str) -> str:
    """Figures without a test: what they are, and why no more is stated."""
    because = [code for code in codes(fact.no_p) if code is not Missing.TWO_SEEDS]
    reason = "; ".join(code.words for code in because) or "the table has no p-value"
    change = phrases.change(fact, data.decimals(fact))
    return (
        f"{title} on {fact.task} went from {change} "
        f"({_facts(data, fact)}). This is not tested: {reason}."
    )
