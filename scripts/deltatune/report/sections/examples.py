"""Examples: those that the script of the page lists, and a few that stand there without it."""

from collections.abc import Mapping
from urllib.parse import urlencode

import pandas as pd
from markupsafe import Markup

from deltatune.report import examples, island, markup, numbers
from deltatune.report.data import Pair, ReportData
from deltatune.report.examples import ExampleTable
from deltatune.report.labels import record_id, shorten
from deltatune.report.text import clean
from deltatune.report.words.seeds import aggregation

NAME, TITLE = "examples", "Examples"
LABEL = 40
"""Columns of a label in the line of an example."""
STATIC = 12
"""Examples that are there without a script, and on paper."""
FLAGS = ("truncated", "empty")
NAMES = {"text": "text of the window", "labels": "text"}


def view(data: ReportData) -> dict | None:
    """The packed examples, what is said of them, and those that need no script."""
    tables = [table for table in data.examples if len(table.records)]
    if not tables:
        return None
    packed = island.build(tables)
    return {
        "island": Markup(packed.text),
        "rule": rule(packed.tables),
        "static": static(data, packed.tables),
        "limit": f"{island.LIMIT:,}",
    }


def link(data: ReportData, pair: Pair) -> str:
    """The address of the examples of an experiment on a task, which the script follows; "" where
    none are carried."""
    experiment, task = pair
    if not any(table.task == task and experiment in table.tuned for table in data.examples):
        return ""
    return f"#{NAME}?{urlencode({'experiment': clean(experiment), 'task': clean(task)})}"


def rule(tables: list[ExampleTable]) -> str:
    """Which examples are carried, where that is not all."""
    parts = {
        f"{len(table.records):,} of {table.tested:,} {table.unit} of {table.task}": None
        for table in tables
        if len(table.records) < table.tested
    }
    if not parts:
        return ""
    return (
        f"Carried are {'; '.join(parts)}: evenly spaced from the largest gain to the largest loss "
        "of each experiment."
    )


def static(data: ReportData, tables: list[ExampleTable]) -> list[dict]:
    """A few of each experiment on its own task, from the largest gain to the largest loss."""
    own = [
        (table, name)
        for name in data.experiments
        for table in tables
        if name in table.tuned and data.experiments[name].get("task") == table.task
    ]
    own = [(table, name) for table, name in own if table.metric] or own
    each = max(2, STATIC // max(1, len(own)))
    rows, keys = [], set()
    for table, name in own[: STATIC // 2]:
        gains = table.gains(name)
        for place in sorted(examples.choose([gains], each), key=lambda row: -gains[row]):
            row = _row(table, name, place)
            # Experiments on one task show the same examples; a link leads to the first.
            rows.append(row | {"key": None if row["key"] in keys else row["key"]})
            keys.add(row["key"])
    return rows


def _row(table: ExampleTable, name: str, place: int) -> dict:
    """An example as an experiment's seeds put it out."""
    gain = table.gains(name)[place]
    side = examples.sides(pd.Series([gain]))[0]
    delta = gain * (1 if table.higher_is_better else -1) if numbers.finite(gain) else None
    decimals = _decimals(delta, side)
    record = table.records.iloc[place]
    named = record_id(record["id"])
    seeds = {seed: frame.iloc[place] for seed, frame in table.tuned[name].items()}
    base = table.base.iloc[place]
    compared = next(iter(seeds.values())).get("output")
    of_labels = [base, *seeds.values()] if table.outputs == "labels" else []
    labels = [shorten(row["output"], LABEL) for row in of_labels]
    scores = [row.get("score", float("nan")) for row in seeds.values()]
    reference = record["reference"] if table.outputs == "answers" else None
    against = base.get("output") if reference is None else reference
    return {
        "key": f"example-{table.task}-{named}",
        "side": side,
        "delta": numbers.format_signed(delta, decimals),
        "scores": f"{labels[0]} → {', '.join(dict.fromkeys(labels[1:]))}"
        if labels
        else f"{numbers.format_number(base.get('score'), decimals)} → "
        f"{numbers.format_number(sum(scores) / len(scores), decimals)}",
        "who": f"{name} on {table.task}: {table.title}, {aggregation(list(seeds))}",
        "excerpt": shorten(record["prompt"], 90),
        "name": f"{NAMES.get(table.outputs, 'prompt')}, {table.task} {named}",
        "prompt": markup.show(record["prompt"], limit=island.LIMIT),
        "reference_name": "label" if table.outputs == "labels" else "reference",
        "reference": record["reference"]
        and markup.show(
            record["reference"],
            compared if table.outputs == "answers" else None,
            css="missed",
            limit=island.LIMIT,
        ),
        "systems": [
            _output("base", table, base, compared if reference is None else reference),
            *(_output(f"tuned, seed {seed}", table, row, against) for seed, row in seeds.items()),
        ],
    }


def _output(name: str, table: ExampleTable, row: Mapping, against: str | None) -> dict:
    """What a system put out, under its name and score."""
    score = row.get("score")
    facts = [name, *([numbers.format_number(score)] if numbers.finite(score) else [])]
    if table.outputs == "answers" and row.get("right", False):
        facts.append("exact")
    facts += [flag for flag in FLAGS if row.get(flag, False)]
    text = row.get("output")
    shown = None
    if text is not None:
        plain = table.outputs == "labels"
        shown = markup.show(text, None if plain else against, limit=island.LIMIT)
    shares = row.get("shares", {})
    return {
        "name": ", ".join(facts),
        "tuned": name != "base",
        "text": shown,
        "note": " · ".join(
            f"{shorten(one, island.LABEL)} {share:.0%}" for one, share in shares.items()
        ),
    }


def _decimals(delta: float | None, side: str, least: int = 2, most: int = 5) -> int:
    """So many that a change is not written as zero."""
    decimals = least
    while side != examples.SAME and decimals < most and delta and round(delta, decimals) == 0:
        decimals += 1
    return decimals
