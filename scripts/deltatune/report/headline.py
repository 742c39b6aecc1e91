"""The headline table: every metric of every pair, base against tuned, by both estimands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import Missing, codes
from deltatune.core.table import NOTHING, Cell, Column, Group, Row, Table
from deltatune.report import labels, numbers, outcomes, pairs
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome
from deltatune.report.words import phrases

MAIN, SECONDARY = "★", "†"
BLANK = "\u00a0"
"""It does not end a line."""
LABEL = 24
"""Columns of text of an experiment's name."""
RANKS = {
    Outcome.WORSENED: -1,
    Outcome.UNKNOWN: 0,
    Outcome.UNTESTED: 1,
    Outcome.UNDETECTED: 2,
    Outcome.EQUIVALENT: 3,
    Outcome.IMPROVED: 4,
}
"""What an outcome is sorted by."""
WITHOUT_LEVEL = ("recipe", "recipe_p", "adapters", "adapters_p", "seed_sd")
"""Columns that are left out where no row has a figure of them."""


def headline(data: ReportData) -> Table:
    """A group for each pair: a row for each metric, main first, then one for each baseline. Of many
    experiments the rows stand by themselves, so that they can be sorted through all of them."""
    controls = {pair[0].pair: pair for pair in outcomes.by_pair(data.controls)}
    groups = []
    for pair in outcomes.by_pair(data.facts):
        rows = [row(data, fact) for fact in pair]
        rows += [baseline_row(data, one) for one in controls.get(pair[0].pair, [])]
        groups.append(Group(rows, group_title(pair[0])))
    if pairs.are_many(data):
        groups = [Group([row for group in groups for row in group.rows])]
    rows = [row for group in groups for row in group.rows]
    shown = [
        column
        for column in columns(data)
        if column.key not in WITHOUT_LEVEL or any(row.cell(column).known for row in rows)
    ]
    return Table("headline", "Base against tuned, all metrics", shown, groups, sortable=True)


def columns(data: ReportData) -> list[Column]:
    """All that the table may have."""
    seeds = {fact.seeds for fact in data.facts}
    interval = numbers.interval_name(data.confidence)
    rough = f"{interval}, rough" if seeds == {2} else interval
    recipe, adapters = "The recipe", of_adapters(seeds)
    named = [Column("experiment", "Experiment"), Column("task", "Task")]
    return [
        *(named if pairs.are_many(data) else []),
        Column("metric", "Metric"),
        Column("outcome", "Outcome", "badge"),
        Column("base", "Base", "number"),
        Column("tuned", "Tuned", "number"),
        Column("delta", "Difference", "range"),
        Column("recipe", rough, "range", over=recipe),
        Column("recipe_p", "p (Holm)", "number", over=recipe),
        Column("adapters", interval, "range", over=adapters),
        Column("adapters_p", "p (Holm)", "number", over=adapters),
        Column("seed_sd", "Seed SD", "number"),
    ]


def of_adapters(seeds: Collection[int]) -> str:
    """'These adapters', 'This adapter'.

    seeds: the numbers of seeds that occur.
    """
    return "This adapter" if set(seeds) == {1} else "These adapters"


def group_title(fact: Fact) -> str:
    """'experiment: model on task, 200 windows in 5 chapters, mean over 3 seeds'."""
    seeds = "1 seed" if fact.seeds == 1 else f"mean over {fact.seeds} seeds"
    return f"{fact.experiment}: {fact.model} on {fact.task}, {phrases.sample(fact)}, {seeds}"


def row(data: ReportData, fact: Fact) -> Row:
    """Of one fact. A single adapter has nothing to say of its recipe."""
    decimals, strong = data.decimals(fact), fact.main
    direction = "" if fact.higher_is_better else f"{BLANK}↓"
    title = f"{data.metric_title(fact.metric)}{direction}{BLANK}{MAIN if fact.main else SECONDARY}"
    percent = numbers.percent_change(fact)
    change = numbers.format_signed(fact.delta, decimals) + (f" ({percent})" if percent else "")
    names = labels.unique(pairs.experiments(data), LABEL)
    cells = {
        "experiment": Cell(names[fact.experiment], title=fact.experiment),
        "task": Cell(fact.task),
        "metric": Cell(title, strong=strong),
        "outcome": badge(data.outcome(fact), strong),
        "base": Cell(numbers.format_number(fact.base, decimals), fact.base, strong=strong),
        "tuned": Cell(numbers.format_number(fact.tuned, decimals), fact.tuned, strong=strong),
        "delta": Cell(change, fact.delta, strong=strong),
        "adapters": _interval(fact.adapters_low, fact.adapters_high, decimals),
        "adapters_p": _p(fact.adapters_p_holm, fact.adapters_p, fact.adapters_p_is_floor),
        "seed_sd": Cell(numbers.format_number(fact.seed_sd, decimals + 1), fact.seed_sd),
    }
    if fact.seeds > 1:
        cells["recipe"] = _interval(fact.ci_low, fact.ci_high, decimals)
        cells["recipe_p"] = _p(fact.p_holm, fact.p_value, fact.p_is_floor)
    missing = codes(fact.no_p)
    for key in ("recipe_p", "adapters_p"):
        reasons = [one for one in missing if key == "recipe_p" or one is not Missing.TWO_SEEDS]
        if key in cells and not cells[key].known and reasons:
            cells[key] = Cell(phrases.NO_P[reasons[0]])
    return Row(cells)


def badge(result: Outcome, strong: bool = False) -> Cell:
    return Cell(phrases.BADGES[result], RANKS[result], strong=strong, tone=str(result))


def _interval(low: float | None, high: float | None, decimals: int) -> Cell:
    text = numbers.format_interval(low, high, decimals)
    return Cell(text, None if text == NOTHING else low)


def _p(adjusted: float | None, own: float | None, is_floor: bool) -> Cell:
    """Holm-adjusted in the family, else its own."""
    p = own if adjusted is None else adjusted
    return Cell(numbers.format_p(p, is_floor).removeprefix("= "), p)


def baseline_row(data: ReportData, fact: Fact) -> Row:
    """In the column of the base stands the baseline's figure."""
    baseline = phrases.in_a_sentence(data.baseline_title(fact.against))
    title = f"{data.metric_title(fact.metric)} against {baseline}"
    cells = row(data, replace(fact, main=False, seed_sd=None)).cells
    return Row({**cells, "metric": Cell(title)})
