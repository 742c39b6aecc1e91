"""Pairs of experiment and task in the order of the page, and where it has each."""

from __future__ import annotations

from deltatune.report import outcomes
from deltatune.report.data import Pair, ReportData

MANY = 12
"""Experiments from which the page has fewer words: what is of one is folded."""


def are_many(data: ReportData) -> bool:
    return len(data.experiments) >= MANY


def tasks(data: ReportData) -> list[str]:
    """Those that an experiment was tuned on, in their order, then those that have figures alone."""
    own = [str(one.get("task", "")) for one in data.experiments.values()]
    others = [task for _, task in [*(fact.pair for fact in data.facts), *data.left_out]]
    return list(dict.fromkeys([*filter(None, own), *others]))


def experiments(data: ReportData) -> list[str]:
    """Those of the run, then those that have figures alone."""
    return list(dict.fromkeys([*data.experiments, *(fact.experiment for fact in data.facts)]))


def anchors(data: ReportData) -> dict[Pair, str]:
    """Pair that has a main figure → the id of what the page says of it in words."""
    rows, columns = experiments(data), tasks(data)
    return {
        fact.pair: f"pair{rows.index(fact.experiment)}-{columns.index(fact.task)}"
        for fact in outcomes.main_facts(data.facts)
    }


def is_own(data: ReportData, pair: Pair) -> bool:
    """Whether the experiment was tuned on the task."""
    experiment, task = pair
    return data.experiments.get(experiment, {}).get("task") == task


def why_not(data: ReportData, pair: Pair) -> str:
    """Why a pair has no figure, in words."""
    if pair in data.left_out:
        return data.left_out[pair]
    if is_own(data, pair):
        return "its figures are not there"
    if any(one.pair == pair for one in data.facts):
        return "the main metric has no figure"
    if data.missing_results:
        return "the run is not finished"
    return "cross_task does not name it"
