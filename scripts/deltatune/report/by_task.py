"""Many experiments at one look: of each task the best, the median and the worst."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from deltatune.compare.fact import Fact
from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import labels, numbers, outcomes, pairs
from deltatune.report.data import ReportData
from deltatune.report.outcomes import Outcome

LABEL = 22
"""Columns of text of an experiment's name."""
COLUMNS = (
    Column("task", "Task"),
    Column("metric", "Metric"),
    Column("experiments", "Experiments", "number"),
    Column("better", "Better", "number"),
    Column("worse", "Worse", "number"),
    Column("best", "Best"),
    Column("median", "Median", "number"),
    Column("worst", "Worst"),
)


def by_task(data: ReportData) -> Table:
    """A row for the experiments that were tuned on a task, and one for those that were not."""
    rows = []
    for task in pairs.tasks(data):
        of_task = [fact for fact in outcomes.main_facts(data.facts) if fact.task == task]
        for title, is_own in ((task, True), (f"{task}, tuned on others", False)):
            facts = [fact for fact in of_task if pairs.is_own(data, fact.pair) == is_own]
            if facts:
                rows.append(_row(data, title, facts))
    return table("by-task", "Best and worst on each task", COLUMNS, rows, sortable=True)


def _row(data: ReportData, title: str, facts: Sequence[Fact]) -> Row:
    """Of the facts of one task and metric."""
    results = [data.outcome(fact) for fact in facts]
    known = sorted((fact for fact in facts if numbers.finite(fact.gain)), key=lambda f: f.gain)
    direction = "" if facts[0].higher_is_better else " ↓"
    cells = {
        "task": Cell(title),
        "metric": Cell(data.metric_title(facts[0].metric) + direction),
        "experiments": _count(len(facts)),
        "better": _count(results.count(Outcome.IMPROVED)),
        "worse": _count(results.count(Outcome.WORSENED)),
    }
    if known:
        median = statistics.median(fact.delta for fact in known)
        decimals = max(data.decimals(fact) for fact in known)
        cells["best"], cells["worst"] = _link(data, known[-1]), _link(data, known[0])
        cells["median"] = Cell(numbers.format_signed(median, decimals), median)
    return Row(cells)


def _count(count: int) -> Cell:
    return Cell(f"{count:,}", count)


def _link(data: ReportData, fact: Fact) -> Cell:
    """An experiment and its difference, with the way to what the page says of it."""
    change = numbers.format_signed(fact.delta, data.decimals(fact))
    label = labels.unique(pairs.experiments(data), LABEL)[fact.experiment]
    return Cell(
        f"{change} {label}",
        fact.gain,
        href=f"#{pairs.anchors(data)[fact.pair]}",
        title=f"{change} {fact.experiment}",
    )
