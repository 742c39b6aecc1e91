"""How base and tuned answer, beside what their answers are worth."""

from collections.abc import Callable, Mapping

from deltatune.report import numbers
from deltatune.report.data import Pair, ReportData


def _count(value: float | None) -> str:
    return numbers.NOTHING if value is None else f"{value:,.4g}"


def _share(value: float | None) -> str:
    if value is None:
        return numbers.NOTHING
    return f"{value:.0%}" if value >= 0.01 or value == 0 else f"{100 * value:.2g}%"


ANSWERS: dict[str, tuple[str, Callable]] = {
    "words_median": ("Words, median", _count),
    "words_mean": ("Words, mean", _count),
    "reference_words_median": ("Words of the reference, median", _count),
    "tokens_mean": ("Tokens, mean", _count),
    "truncated_share": ("Cut off", _share),
    "empty_share": ("Empty", _share),
    "repeated_4grams": ("Repeated 4-grams", _share),
    "distinct_share": ("Different answers", _share),
}
LABELS: dict[str, tuple[str, Callable]] = {
    "label_mass": ("Probability on the labels", _share),
    "largest_predicted_share": ("Share of the label predicted most", _share),
    "chance": ("Accuracy by chance", _share),
}


def view(data: ReportData) -> list[dict]:
    """Two tables, of answers and of labels, those that have rows: two rows for each pair."""
    tables = [
        _table("How they answer", ANSWERS, data.behavior),
        _table("How they choose labels", LABELS, data.label_checks),
    ]
    return [table for table in tables if table["rows"]]


def _table(title: str, columns: Mapping, pairs: Mapping[Pair, Mapping[str, Mapping]]) -> dict:
    rows = [
        {
            "pair": f"{experiment} on {task}",
            "system": system,
            "cells": [write(systems[system].get(key)) for key, (_, write) in columns.items()],
        }
        for (experiment, task), systems in pairs.items()
        for system in ("base", "tuned")
    ]
    return {"title": title, "columns": [name for name, _ in columns.values()], "rows": rows}
