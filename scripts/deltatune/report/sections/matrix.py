"""Every experiment on every task at one look: which way, how far, how sure.

Drawn twice from the same cells: small beside the verdict, and whole with figures and links.
"""

from __future__ import annotations

from typing import Any

from deltatune.compare.fact import Fact
from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import labels, numbers, outcomes, pairs
from deltatune.report.data import Pair, ReportData
from deltatune.report.effects import effect
from deltatune.report.outcomes import Outcome
from deltatune.report.sections import examples
from deltatune.report.words import phrases

NAME, TITLE = "matrix", "Matrix"
EXPERIMENT = "experiment name"
"""Key of the column that names the rows; no task has a blank in its name."""
FULL = 1.0
"""The effect that fills half of a cell."""
SIDES = {Outcome.IMPROVED: "better", Outcome.WORSENED: "worse"}
LABEL, SMALL, COLUMN = 30, 18, 22
"""Columns of text of an experiment's name, there and in the small picture, and of a task's."""
WIDE = 6
"""Tasks above which the columns are drawn narrow, their titles upright in the small picture."""
LEVEL, UPRIGHT = 13, 15
"""Columns of text of a task's name in the small picture, level or upright."""


def view(data: ReportData) -> dict[str, Any] | None:
    """Rows of cells; None where nothing was compared."""
    facts = {fact.pair: fact for fact in outcomes.main_facts(data.facts)}
    if not facts:
        return None
    anchors, tasks, names = pairs.anchors(data), pairs.tasks(data), pairs.experiments(data)
    long, short = labels.unique(names, LABEL), labels.unique(names, SMALL)
    is_wide = len(tasks) > WIDE
    columns = labels.unique(tasks, COLUMN)
    small = labels.unique(tasks, UPRIGHT if is_wide else LEVEL)
    places = {name: place for place, name in enumerate(data.experiments)}
    rows = [
        {
            "name": name,
            "label": long[name],
            "short": short[name],
            "href": f"#experiment{places[name]}-title" if name in places else "",
            "cells": [
                _cell(data, facts[name, task], anchors[name, task])
                if (name, task) in facts
                else _without(data, (name, task))
                for task in tasks
            ],
        }
        for name in names
    ]
    return {
        "columns": [
            {
                "name": task,
                "label": columns[task],
                "short": small[task],
                "metric": _metric(data, task, facts),
            }
            for task in tasks
        ],
        "rows": rows,
        "tally": tally(data, list(facts.values())),
        "not_shown": phrases.not_shown(map(data.outcome, facts.values())),
        "legend": legend(rows),
        "many": len(rows) >= pairs.MANY,
        "wide": is_wide,
        "table": as_table(rows, tasks),
    }


def as_table(rows: list[dict[str, Any]], tasks: list[str]) -> Table:
    """The same in words, to be saved: '▲ better +0.34 (0.23 to 0.56)'."""
    columns = [Column(EXPERIMENT, "Experiment"), *(Column(task, f"on {task}") for task in tasks)]
    lines = [
        {EXPERIMENT: Cell(row["name"])}
        | {task: Cell(_in_words(cell)) for task, cell in zip(tasks, row["cells"], strict=True)}
        for row in rows
    ]
    return table("matrix-table", "Experiments by tasks", columns, [Row(line) for line in lines])


def _in_words(cell: dict[str, Any]) -> str:
    if cell["reason"]:
        return f"not evaluated: {cell['reason']}"
    return f"{cell['badge']} {cell['change']} ({cell['figures']})"


def _metric(data: ReportData, task: str, facts: dict[Pair, Fact]) -> str:
    """The task's main metric, with the good direction where that is down; "" without figures."""
    fact = next((fact for fact in facts.values() if fact.task == task), None)
    if fact is None:
        return ""
    return data.metric_title(fact.metric) + ("" if fact.higher_is_better else " ↓")


def _cell(data: ReportData, fact: Fact, anchor: str) -> dict[str, Any]:
    """How a pair came out, its difference, and the bar: to the right where tuned is better."""
    result = data.outcome(fact)
    decimals = data.decimals(fact)
    size = effect(fact).value
    sign, word = phrases.BADGES[result].split(maxsplit=1)
    change = numbers.percent_change(fact) or numbers.format_signed(fact.delta, decimals)
    return {
        "own": pairs.is_own(data, fact.pair),
        "outcome": result,
        "side": SIDES.get(result, "undecided"),
        "badge": phrases.BADGES[result],
        "sign": sign,
        "word": word,
        "change": change,
        "figures": phrases.change(fact, decimals),
        "left": size is not None and size < 0,
        "size": f"{0 if size is None else 50 * min(abs(size), FULL) / FULL:.1f}",
        "href": f"#{anchor}",
        "examples": examples.link(data, fact.pair),
        "reason": "",
    }


def _without(data: ReportData, pair: Pair) -> dict[str, Any]:
    """A pair without figures, and why."""
    reason = pairs.why_not(data, pair)
    return {"own": pairs.is_own(data, pair), "side": "none", "sign": "", "reason": reason}


def tally(data: ReportData, facts: list[Fact]) -> str:
    """'9 pairs: 3 better, 1 worse, 5 not shown'."""
    results = [data.outcome(fact) for fact in facts]
    counts = ", ".join(
        f"{results.count(one)} {phrases.BADGES[one].split(maxsplit=1)[1]}"
        for one in Outcome
        if one in results
    )
    return f"{numbers.plural(len(facts), 'pairs')}: {counts}"


def legend(rows: list[dict[str, Any]]) -> list[str]:
    """Reasons for which pairs have no figures, each once with how many it is of."""
    reasons = [cell["reason"] for row in rows for cell in row["cells"] if cell["reason"]]
    return [
        f"{numbers.plural(reasons.count(one), 'pairs')} not evaluated: {one}."
        for one in dict.fromkeys(reasons)
    ]
