"""What came out: the headline table and how it was made, how systems answer, pair by pair."""

from collections.abc import Sequence

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import Missing, codes
from deltatune.core.table import Table
from deltatune.report import numbers, outcomes, pairs
from deltatune.report.by_task import by_task
from deltatune.report.data import ReportData
from deltatune.report.headline import MAIN, SECONDARY, headline, of_adapters
from deltatune.report.words import phrases, sentences

NAME, TITLE = "results", "Results"


def view(data: ReportData) -> dict:
    """The tables, notes, family and methods, how systems answer, and the sentences pair by pair:
    of many experiments they are folded below a table of the best and worst. Nothing of it where
    nothing was compared, which the section says."""
    if not data.facts:
        return {"table": None}
    table = headline(data)
    return {
        "badges": phrases.BADGES,
        "by_task": by_task(data) if pairs.are_many(data) else None,
        "pairs": sentences.pair_by_pair(data),
        "anchors": pairs.anchors(data),
        "table": table,
        "notes": notes(table, data),
        "family": family(data),
        "methods": methods(data),
    }


def notes(table: Table, data: ReportData) -> str:
    """What a reader of the headline table needs to know, no more than what it uses."""
    seeds = {fact.seeds for fact in data.facts}
    sentences = [f"{MAIN} main metric of the task."]
    if any(not fact.main for fact in data.facts):
        sentences.append(f"{SECONDARY} secondary: p-value and outcome are not adjusted.")
    if any(not fact.higher_is_better for fact in data.facts):
        sentences.append("↓ lower is better.")
    if not_shown := phrases.not_shown(map(data.outcome, [*data.facts, *data.controls])):
        sentences.append(not_shown)
    if data.controls:
        sentences.append(
            "Rows with “against” compare tuned with a plain baseline, whose figure stands in the "
            "column Base; each is tested at the full level."
        )
    if seeds == {1}:
        sentences.append(f"{of_adapters(seeds)}: over other test records.")
    else:
        sentences.append(
            "The recipe: over other test records and training seeds, so this is the claim about "
            f"tuning. {of_adapters(seeds)}: over other test records alone."
        )
    if 2 in seeds:
        sentences.append(
            "With two seeds the recipe has no p-value and its interval is rough: an outcome is of "
            "these two adapters, and the rough interval must leave out zero as well."
        )
    every = {code: None for fact in data.facts for code in codes(fact.no_p)}
    missing = "; ".join(code.words for code in every if code is not Missing.TWO_SEEDS)
    keys = {column.key for column in table.columns}
    if missing and not keys & {"recipe_p", "adapters_p"}:
        sentences.append(f"No row has a p-value: {missing}.")
    of_tasks = [fact.task for fact in outcomes.main_facts(data.own_facts())]
    if len(set(of_tasks)) < len(of_tasks):
        sentences.append(
            "Of several experiments on one task the best is so in part by chance, and its figure "
            "is optimistic: choose settings by the validation split."
        )
    if "seed_sd" in keys:
        sentences.append("Seed SD: standard deviation of the tuned figure over training seeds.")
    return " ".join(sentences)


def family(data: ReportData) -> str:
    """Which rows are tested together."""
    own, cross_task = (
        _family(outcomes.main_facts(facts)) for facts in (data.own_facts(), data.cross_task_facts())
    )
    text = f"Holm's correction counts {numbers.plural(own, 'main comparisons')} of comparison.csv"
    if data.cross_task_facts():
        text += f"; cross-task pairs are a second family of {cross_task}"
    if any(not fact.main for fact in data.facts):
        text += "; secondary rows are unadjusted"
    return f"{text}."


def _family(facts: Sequence[Fact]) -> int:
    return max((fact.family for fact in facts), default=0)


def methods(data: ReportData) -> list[dict]:
    """How each metric is made and how it was tested, each once."""
    result = []
    for metric in dict.fromkeys(fact.metric for fact in data.facts):
        tested = [fact.method for fact in data.facts if fact.metric == metric and fact.method]
        result.append(
            {
                "title": data.metric_title(metric),
                "signature": data.metrics.get(metric, {}).get("signature", ""),
                "tested": list(dict.fromkeys(tested)),
            }
        )
    return [one for one in result if one["signature"] or one["tested"]]
