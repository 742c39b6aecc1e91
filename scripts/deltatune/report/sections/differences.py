"""A forest plot for each task."""

from deltatune.compare.fact import Fact
from deltatune.report import numbers
from deltatune.report.data import ReportData
from deltatune.report.figures import embed, forest
from deltatune.report.words import phrases
from deltatune.report.words.seeds import aggregation

NAME, TITLE = "differences", "Differences"


def view(data: ReportData) -> dict | None:
    """A plot of the experiments tuned on each task: what they cost on other tasks can be
    hundreds of times larger, and stands in the table. None where nothing was compared."""
    tasks: dict[str, list[Fact]] = {}
    for fact in data.own_facts():
        tasks.setdefault(fact.task, []).append(fact)
    if not tasks:
        return None
    titles = {fact.metric: data.metric_title(fact.metric) for fact in data.facts}
    figures = []
    for number, (task, facts) in enumerate(tasks.items()):
        figure = forest.plot(facts, titles, data.confidence, data.decimals)
        interval = numbers.interval_name(data.confidence)
        described = "; ".join(
            _described(fact, titles, interval, data.decimals(fact)) for fact in facts
        )
        view = embed.view(figure, f"Differences on {task}: {described}.", f"forest{number}")
        figures.append({"task": task, "caption": caption(data, facts), "svg": view["svg"]})
    return {"figures": figures, "note": note(data)}


def _described(fact: Fact, titles: dict[str, str], interval: str, decimals: int) -> str:
    """'ex, ROUGE-L +0.49, 95% interval 0.45 to 0.53' for those who cannot see the figure."""
    text = f"{fact.experiment}, {titles[fact.metric]} {numbers.format_signed(fact.delta, decimals)}"
    ends = numbers.format_interval(fact.ci_low, fact.ci_high, decimals)
    return f"{text}, no interval" if ends == numbers.NOTHING else f"{text}, {interval} {ends}"


def caption(data: ReportData, facts: list[Fact]) -> str:
    """'170 examples; tuned is the mean over seeds 1, 2', of each experiment where they differ."""
    parts: dict[str, list[str]] = {}
    for fact in facts:
        seeds = data.experiments.get(fact.experiment, {}).get("seeds", [])
        of = aggregation(seeds) if len(seeds) < 2 else f"the {aggregation(seeds)}"
        names = parts.setdefault(f"{phrases.sample(fact)}; tuned is {of}", [])
        if fact.experiment not in names:
            names.append(fact.experiment)
    if len(parts) == 1:
        return f"{next(iter(parts))}."
    return " ".join(f"{', '.join(names)}: {text}." for text, names in parts.items())


def note(data: ReportData) -> str:
    """How to read the figures, no more than they use."""
    facts = data.own_facts()
    interval = numbers.interval_name(data.confidence)
    text = "Tuned minus base, each metric on its own scale. Bold: the main metric of the task. "
    if any(fact.estimand == "recipe" for fact in facts):
        rough = " (rough with two seeds)" if any(fact.seeds == 2 for fact in facts) else ""
        text += (
            f"Thick line: {interval} for this recipe, over other test records and other training "
            f"seeds{rough}. Thin line: that for these adapters, over other test records alone. "
        )
    else:
        text += f"Line: {interval} for this adapter, over other test records. "
    return text + (
        "A blue circle is better, an orange square worse, a hollow diamond a difference that is "
        "not shown."
    )
