"""Facts in words: the parts that the page's sentences and tables share."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import Missing
from deltatune.report import numbers, outcomes
from deltatune.report.outcomes import Outcome

BADGES = {
    Outcome.IMPROVED: "▲ better",
    Outcome.WORSENED: "▼ worse",
    Outcome.EQUIVALENT: "≈ within margin",
    Outcome.UNDETECTED: "○ not shown",
    Outcome.UNTESTED: "– not tested",
    Outcome.UNKNOWN: "? unknown",
}
"""How a comparison came out: a sign that needs no color, and a word."""

NOT_SHOWN = "Not shown: the test cannot tell the difference from chance."
"""What that badge means: beside the counts it could be read as left out of the page."""

NO_P = {
    Missing.NOT_FINITE: "not finite: none",
    Missing.ONE_CLUSTER: "one text or group: none",
    Missing.FEW_CLUSTERS: "under 5: none",
    Missing.FEW_DIFFERING: "few differ: none",
    Missing.FEW_CLUSTERS_DIFFER: "few differ: none",
    Missing.RARE_CLASS: "rare class: none",
    Missing.CONSTANT: "nothing varies: none",
    Missing.TWO_SEEDS: "two seeds: none",
}
"""Code -> what stands in the place of a p-value."""


def not_shown(results: Iterable[Outcome]) -> str:
    """`NOT_SHOWN` where it is among the outcomes, else nothing."""
    return NOT_SHOWN if Outcome.UNDETECTED in results else ""


def subject(seeds: int) -> str:
    """Of what a single result is stated."""
    return {1: "This adapter", 2: "These two adapters"}.get(seeds, "Tuning")


def subject_of_all(seeds: Collection[int], experiments: int) -> str:
    """Of what the results of several experiments are stated, with the aggregation over seeds.

    seeds: the numbers of seeds that occur.
    """
    every = set(seeds)
    if len(every) > 1:
        return "These adapters (their means)"
    (count,) = every
    if count >= 3:
        return f"Tuning (mean of {count} seeds)"
    if experiments == 1:
        return subject(count) + (" (their mean)" if count == 2 else "")
    return "These adapters " + ("(one each)" if count == 1 else "(mean of 2 each)")


def these_adapters(seeds: int) -> str:
    return {1: "this adapter", 2: "these two adapters"}.get(seeds, f"these {seeds} adapters")


def change(fact: Fact, decimals: int) -> str:
    """'0.12 to 0.61'."""
    base, tuned = (numbers.format_number(value, decimals) for value in (fact.base, fact.tuned))
    return f"{base} to {tuned}"


def sample(fact: Fact) -> str:
    """'200 examples', or '200 windows in 5 chapters' where whole clusters are independent."""
    count = numbers.plural(fact.n, fact.unit)
    if (fact.clusters, fact.cluster_unit) == (fact.n, fact.unit):
        return count
    return f"{count} in {numbers.plural(fact.clusters, fact.cluster_unit)}"


def aggregation(fact: Fact, decimals: int) -> str:
    """'1 seed', 'mean over 3 seeds with SD 0.011'."""
    if fact.seeds == 1:
        return "1 seed"
    text = f"mean over {fact.seeds} seeds"
    if fact.seed_sd is not None:
        text += f" with SD {numbers.format_number(fact.seed_sd, decimals + 1)}"
    return text


def p_value(fact: Fact) -> str:
    """'Holm-adjusted p ≤ 0.0003' of what decides; empty where there is none."""
    p = outcomes.deciding_p(fact)
    if p is None:
        return ""
    holm = "Holm-adjusted " if outcomes.is_adjusted(fact) else ""
    return f"{holm}p {numbers.format_p(p, fact.p_floor)}"


def in_a_sentence(title: str) -> str:
    """'nearest training example', but 'TF-IDF'."""
    return title[:1].lower() + title[1:] if title[1:2].islower() else title
