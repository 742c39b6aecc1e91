"""Prompts, references and answers, base and tuned side by side."""

import pandas as pd

from deltatune.report import examples, markup, numbers
from deltatune.report.data import ReportData
from deltatune.report.figures.style import label
from deltatune.report.reading import TIE


def view(data: ReportData) -> list[dict]:
    """One view for each experiment that has examples, with texts cut so that the page is light."""
    shown = {
        name: examples.choose(data.examples[name], data.higher_is_better(name), data.max_examples)
        for name in data.experiments
        if len(data.examples.get(name, ()))
    }
    limit = examples.text_limit(shown, ["prompt", "reference", "base", "tuned"])
    return [
        example_view(data, number, name, frame, limit)
        for number, (name, frame) in enumerate(shown.items())
    ]


def example_view(data: ReportData, number: int, name: str, frame: pd.DataFrame, limit: int) -> dict:
    """The examples of one experiment: markup for each, and what the filter script needs."""
    total = len(data.examples[name])
    higher = data.higher_is_better(name)
    rows, island = [], []
    printed = _printed(len(frame))
    for place, row in enumerate(frame.to_dict("records")):
        gain = row["gain"] if numbers.finite(row["gain"]) else None
        side = "tie"
        if gain is None:
            side = "none"
        elif abs(gain) > TIE:
            side = "gain" if gain > 0 else "loss"
        decimals = 2
        delta = None if gain is None else gain * (1 if higher else -1)
        rows.append(
            {
                "key": f"example{number}-{place}",
                "id": str(row["id"]),
                "side": side,
                "open": place < 2,
                "printed": place in printed,
                "delta": numbers.format_signed(delta, decimals),
                "base_score": numbers.format_number(row["base_score"], decimals),
                "tuned_score": numbers.format_number(row["tuned_score"], decimals),
                "excerpt": label(row["prompt"], 90),
                "prompt": markup.show(row["prompt"], limit=limit),
                "reference": markup.show(row["reference"], row["tuned"], css="missed", limit=limit),
                "base": markup.show(row["base"], row["reference"], limit=limit),
                "tuned": markup.show(row["tuned"], row["reference"], limit=limit),
            }
        )
        island.append({"side": side, "gain": None if gain is None else round(float(gain), 6)})
    return {
        "key": f"examples{number}",
        "name": name,
        "task": data.experiments[name].get("task", ""),
        "metric": data.metric_title(data.experiments[name].get("main_metric", "")),
        "rows": rows,
        "total": total,
        "island": island,
    }


def _printed(count: int) -> set[int]:
    """Places of the examples that a printed page holds: two of the best, middle and worst."""
    middle = count // 2
    return {place for place in (0, 1, middle - 1, middle, count - 2, count - 1) if place >= 0}
