"""Prompts, references and answers, base and tuned side by side."""

import pandas as pd

from deltatune.report import examples, markup, numbers
from deltatune.report.data import ReportData
from deltatune.report.figures.style import label
from deltatune.report.words.seeds import aggregation

NAME, TITLE = "examples", "Examples"


def view(data: ReportData) -> dict | None:
    """One view for each experiment that has examples, with texts cut so that the page is light, and
    what the filter script needs."""
    shown = {
        name: examples.choose(data.examples[name], data.higher_is_better(name), data.max_examples)
        for name in data.experiments
        if len(data.examples.get(name, ()))
    }
    limit = examples.text_limit(shown, ["prompt", "reference", "base", "tuned"])
    views = [
        example_view(data, number, name, frame, limit)
        for number, (name, frame) in enumerate(shown.items())
    ]
    island = {one["key"]: one["island"] for one in views}
    return {"experiments": views, "island": island} if views else None


def example_view(data: ReportData, number: int, name: str, frame: pd.DataFrame, limit: int) -> dict:
    """The examples of one experiment: markup for each, and what the filter script needs."""
    scores = data.examples[name][["base_score", "tuned_score"]].set_axis(["base", "tuned"], axis=1)
    total = len(scores)
    higher = data.higher_is_better(name)
    seeds = data.experiments[name].get("seeds", [])
    tally = examples.tally(scores, higher)
    rows, island = [], []
    printed = _printed(len(frame))
    for place, row in enumerate(frame.to_dict("records")):
        gain = row["gain"] if numbers.finite(row["gain"]) else None
        delta = None if gain is None else gain * (1 if higher else -1)
        decimals = _decimals(delta, row["side"])
        rows.append(
            {
                "key": f"example{number}-{place}",
                "id": str(row["id"]),
                "side": row["side"],
                "open": place < 2,
                "printed": place in printed,
                "delta": numbers.format_signed(delta, decimals),
                "base_score": numbers.format_number(row["base_score"], decimals),
                "tuned_score": numbers.format_number(row["tuned_score"], decimals),
                "seed_score": numbers.format_number(row["seed_score"], decimals),
                "excerpt": label(row["prompt"], 90),
                "prompt": markup.show(row["prompt"], limit=limit),
                "reference": markup.show(row["reference"], row["tuned"], css="missed", limit=limit),
                "base": markup.show(row["base"], row["reference"], limit=limit),
                "tuned": markup.show(row["tuned"], row["reference"], limit=limit),
            }
        )
        island.append(
            {"side": row["side"], "gain": None if gain is None else round(float(gain), 6)}
        )
    return {
        "key": f"examples{number}",
        "name": name,
        "task": data.experiments[name].get("task", ""),
        "metric": data.metric_title(data.experiments[name].get("main_metric", "")),
        "seed": f"seed {seeds[0]}" if seeds else "the first seed",
        "aggregation": aggregation(seeds),
        "several_seeds": len(seeds) > 1,
        "rows": rows,
        "total": total,
        "tally": ", ".join(f"{tally[side]:,} {side}" for side in examples.SIDES),
        "counts": {side: int((frame["side"] == side).sum()) for side in examples.SIDES},
        "island": island,
    }


def _decimals(delta: float | None, side: str, least: int = 2, most: int = 5) -> int:
    """So many that a change is not written as zero."""
    decimals = least
    while side != examples.SAME and decimals < most and delta and round(delta, decimals) == 0:
        decimals += 1
    return decimals


def _printed(count: int) -> set[int]:
    """Places of the examples that a printed page holds: two of the best, middle and worst."""
    middle = count // 2
    return {place for place in (0, 1, middle - 1, middle, count - 2, count - 1) if place >= 0}
