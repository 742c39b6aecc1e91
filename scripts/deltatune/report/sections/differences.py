"""All pairs of experiment and task on one scale."""

from markupsafe import Markup

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import why_missing
from deltatune.report import captions, numbers, outcomes
from deltatune.report.data import ReportData
from deltatune.report.effects import effect
from deltatune.report.figures import embed, forest
from deltatune.report.figures.settings import ForestSettings
from deltatune.report.outcomes import Outcome
from deltatune.report.words import phrases
from deltatune.report.words.seeds import aggregation

NAME, TITLE = "differences", "Differences"

FIGURE = "What each experiment won and lost"
PLAIN = {Outcome.IMPROVED: "better", Outcome.WORSENED: "worse"}
NOT_TESTED, NOT_SHOWN = "not tested", "not shown"
"""Of what has no test, and of the other outcomes."""


def view(data: ReportData) -> dict | None:
    """The forest, for wide pages and for phones. None where nothing was compared."""
    own = outcomes.main_facts(data.own_facts())
    others = outcomes.main_facts(data.cross_task_facts())
    if not own + others:
        return None
    titles = {fact.metric: data.metric_title(fact.metric) for fact in own + others}
    described = description(data, own + others)
    drawn = []
    for only in ("wide", "narrow"):
        figure = forest.plot(
            own, others, titles, data.confidence, data.decimals, narrow=only == "narrow"
        )
        drawn.append(embed.to_svg(figure, FIGURE, described, f"forest-{only}", only))
    seeds = next((e["seeds"] for e in data.experiments.values() if e.get("seeds")), [])
    settings = ForestSettings(
        titles=titles,
        seeds=seeds,
        tests=max((fact.family for fact in own), default=0),
        other_tests=max((fact.family for fact in others), default=0),
        confidence=data.confidence,
    )
    return {
        "svg": Markup("").join(Markup(one) for one in drawn),
        "caption": captions.caption("forest", settings),
        "without": [text for fact in own + others if (text := _without_interval(fact))],
        "tested": tested(data, own + others),
    }


def description(data: ReportData, facts: list[Fact]) -> str:
    """'9 rows: 3 better, 4 worse, 2 not shown. Largest gain: …', for those who cannot see it."""
    words = PLAIN | dict.fromkeys(outcomes.NOT_TESTED, NOT_TESTED)
    results = [words.get(outcomes.outcome(fact, data.level), NOT_SHOWN) for fact in facts]
    order = (*PLAIN.values(), NOT_SHOWN, NOT_TESTED)
    counts = ", ".join(f"{results.count(word)} {word}" for word in order if word in results)
    text = f"{numbers.plural(len(facts), 'rows')}: {counts}."
    placed = [(value, fact) for fact in facts if (value := effect(fact).value) is not None]
    if not placed:
        return text
    smallest, largest = (pick(placed, key=lambda one: one[0]) for pick in (min, max))
    if largest[0] > 0:
        text += f" Largest gain: {_pair(data, largest[1])}."
    if smallest[0] < 0:
        text += f" Largest loss: {_pair(data, smallest[1])}."
    return text


def _pair(data: ReportData, fact: Fact) -> str:
    """'ex on news, Accuracy 0.25 to 0.66'."""
    change = phrases.change(fact, data.decimals(fact))
    return f"{fact.experiment} on {fact.task}, {data.metric_title(fact.metric)} {change}"


def _without_interval(fact: Fact) -> str:
    """'ex on news has no interval: fewer than 20 differ'; empty where it has one."""
    if numbers.finite(fact.ci_low) and numbers.finite(fact.ci_high):
        return ""
    why = why_missing(fact.no_interval)
    return f"{fact.experiment} on {fact.task} has no interval{f': {why}' if why else ''}."


def tested(data: ReportData, facts: list[Fact]) -> str:
    """'170 examples; tuned is the mean over seeds 1, 2', of each task where they differ."""
    parts: dict[str, list[str]] = {}
    for fact in facts:
        seeds = data.experiments.get(fact.experiment, {}).get("seeds", [])
        of = aggregation(seeds) if len(seeds) < 2 else f"the {aggregation(seeds)}"
        tasks = parts.setdefault(f"{phrases.sample(fact)}; tuned is {of}", [])
        if fact.task not in tasks:
            tasks.append(fact.task)
    if len(parts) == 1:
        return f"{next(iter(parts))}."
    return " ".join(f"{', '.join(tasks)}: {text}." for text, tasks in parts.items())
