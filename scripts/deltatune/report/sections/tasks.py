"""Each experiment on its own task."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from deltatune.compare.fact import Fact
from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import captions, examples, markup, numbers
from deltatune.report.data import ReportData
from deltatune.report.figures import confusion, differences, embed, lengths
from deltatune.report.figures.settings import ConfusionSettings, DifferencesSettings
from deltatune.report.words import phrases
from deltatune.report.words.seeds import aggregation, listed

NAME, TITLE = "tasks", "Tasks"

SYSTEMS = ("base", "tuned")


def view(data: ReportData) -> list[dict] | None:
    """One entry for each experiment."""
    views = [experiment_view(data, number, name) for number, name in enumerate(data.experiments)]
    return views or None


def experiment_view(data: ReportData, number: int, name: str) -> dict:
    """One experiment on its own task: what got better or worse, by how much, how it looks."""
    experiment = data.experiments[name]
    scores = data.scores.get(name)
    matrices = data.confusions.get(name)
    seeds = experiment.get("seeds", [])
    continuations = data.continuations.get(name)
    return {
        "key": f"experiment{number}",
        "name": name,
        "task": experiment.get("task", ""),
        "kind": experiment.get("kind", ""),
        "model": experiment.get("model", ""),
        "quantization": experiment.get("quantization") or "none",
        "seeds": listed(seeds) if seeds else "",
        "settings": experiment.get("settings") or {},
        "published": published_view(data, number, name),
        "spread": None if scores is None or scores.empty else spread_view(data, number, name),
        "lengths": lengths_view(data, number, name),
        "confusion": confusion_view(data, number, name)
        if matrices and matrices["labels"]
        else None,
        "continuations": [] if continuations is None else continuation_rows(continuations),
        "continued_by": f"seed {seeds[0]}" if seeds else "the first seed",
    }


def spread_view(data: ReportData, number: int, name: str) -> dict:
    """How many examples got better or worse in the main metric, and how far they moved."""
    scores, higher = data.scores[name], data.higher_is_better(name)
    title = data.metric_title(data.experiments[name].get("main_metric", ""))
    unit = data.experiments[name].get("unit", "examples")
    seeds = data.experiments[name].get("seeds", [])
    tally = examples.tally(scores, higher)
    total = sum(tally[side] for side in examples.SIDES)
    counts = ", ".join(f"{tally[side]:,} {side}" for side in examples.SIDES)
    tuned = f"tuned is {the(seeds)}"
    fact = own_fact(data, name, data.experiments[name].get("main_metric", ""))
    scored = numbers.plural(total, unit)
    if fact is not None and fact.n == total:
        scored = phrases.sample(fact)
    alt = f"Differences of {title} over {scored}, {tuned}: {counts}."
    settings = DifferencesSettings(
        experiment=name,
        metric=data.experiments[name].get("main_metric", ""),
        title=title,
        higher_is_better=higher,
        unit=unit,
        seeds=seeds,
    )
    caption = f"{captions.joined('differences', settings)} {_dashed(data, fact, scores, unit)}"
    figure = differences.plot(scores, seeds, higher, title, unit)
    return {
        "metric": title,
        "unit": unit,
        "aggregation": tuned,
        "exact": exact(data, name),
        "sides": [
            {
                "side": side,
                "count": f"{tally[side]:,}",
                "share": (share := tally[side] / max(total, 1)),
                "percent": numbers.format_share(share),
            }
            for side in examples.SIDES
        ],
        "unscored": f"{tally[examples.UNSCORED]:,}" if tally[examples.UNSCORED] else "",
        "figure": embed.view(
            figure, f"Differences of {name}", alt, f"differences{number}", caption
        ),
    }


def exact(data: ReportData, name: str) -> str:
    """'Exact are 4 (2%) answers of base and 21.5 (11%) of tuned; of the 161 that got better, 10.'

    Of answers, where a gain may be far from right; of labels every gain is a right one."""
    task = data.experiments[name].get("task")
    for one in data.examples:
        counts = one.counts.get(name, {})
        if one.task == task and one.outputs == "answers" and "right_base" in counts:
            base, tuned = (
                f"{numbers.format_count_mean(counts[key])} "
                f"({numbers.format_share(counts[key] / one.tested)})"
                for key in ("right_base", "right_tuned")
            )
            every = " by every seed" if len(one.tuned[name]) > 1 else ""
            return (
                f"Exact are {base} answers of base and {tuned} of tuned; of the "
                f"{counts[examples.BETTER]:,} that got better, "
                f"{counts['right_better']:,}{every}."
            )
    return ""


def lengths_view(data: ReportData, number: int, name: str) -> dict | None:
    """How long the answers are. None where none are generated."""
    words, seeds = data.answer_words.get(name), data.experiments[name].get("seeds", [])
    if words is None or words.empty:
        return None
    medians = ", ".join(
        f"{system} {numbers.format_count_mean(value)}"
        for system, value in lengths.medians(words).items()
    )
    caption = (
        f"How many of {numbers.plural(len(words), 'answers')} have so many words (of Chinese and "
        "Japanese, characters; of Thai, Lao, Khmer and Burmese, letters); tuned is "
        f"{the(seeds)}. Each row has a scale of its own upwards; the dashed lines are medians."
    )
    if last := lengths.beyond(words):
        caption += f" The last bar is of {last:,} words and more."
    behavior = data.behavior.get((name, data.experiments[name].get("task", "")), {})
    cut = [
        f"{numbers.format_share(share)} of {system}"
        for system, one in behavior.items()
        if (share := one.get("truncated_share")) is not None
    ]
    if cut:
        caption += f" Cut off before they ended by themselves are {' and '.join(cut)}."
    return embed.view(
        lengths.plot(words, seeds),
        f"Length of the answers of {name}",
        f"Median number of words: {medians}.",
        f"lengths{number}",
        caption,
    )


def the(seeds: Sequence[int]) -> str:
    """'seed 1', 'the mean over seeds 1, 2'."""
    return aggregation(seeds) if len(seeds) < 2 else f"the {aggregation(seeds)}"


def _dashed(data: ReportData, fact: Fact | None, scores: pd.DataFrame, unit: str) -> str:
    """Where the dashed line is, and whether it is the difference of the table."""
    mean = float((scores["tuned"] - scores["base"]).mean())
    if fact is None or fact.delta is None or not numbers.finite(mean):
        return ""
    decimals = data.decimals(fact)
    line = f"The mean is {numbers.format_signed(mean, decimals)}"
    if math.isclose(mean, fact.delta, rel_tol=1e-6, abs_tol=1e-9):
        return f"{line}."
    delta = numbers.format_signed(fact.delta, decimals)
    return (
        f"{line}; the difference in the results, {delta}, is that of all {unit} at once, which for "
        "this metric is no mean."
    )


def own_fact(data: ReportData, name: str, metric: str) -> Fact | None:
    """The fact of an experiment on its own task by a metric; None where there is none."""
    task = data.experiments[name].get("task")
    chosen = [fact for fact in data.facts if fact.pair == (name, task) and fact.metric == metric]
    return chosen[0] if chosen else None


def confusion_view(data: ReportData, number: int, name: str) -> dict:
    """The confusion matrices of base and tuned, drawn and as tables."""
    matrices, seeds = data.confusions[name], data.experiments[name].get("seeds", [])
    titles = confusion.titles(seeds)
    figures = [
        embed.view(
            confusion.plot(matrices, seeds, (system,)),
            f"Confusion matrix: {titles[system]}",
            confusion.described(matrices, system),
            f"confusion{number}-{system}",
        )
        for system in SYSTEMS
    ]
    caption = captions.joined("confusion", ConfusionSettings(experiment=name, seeds=seeds))
    accuracy = own_fact(data, name, "accuracy")
    if accuracy is not None:
        decimals = data.decimals(accuracy)
        base, tuned = (numbers.format_number(getattr(accuracy, s), decimals) for s in SYSTEMS)
        caption += (
            f" The accuracy of base is {base}, that of tuned {tuned}, over "
            f"{numbers.format_count(np.sum(matrices['base']))} texts."
        )
    return {
        "figures": figures,
        "tables": confusion_tables(name, matrices, titles, number),
        "caption": caption,
    }


def continuation_rows(continuations: pd.DataFrame) -> list[dict]:
    """Fixed prompts as base and tuned continue them."""
    return [
        {key: markup.show(row[key], limit=2000) for key in ("prompt", *SYSTEMS)}
        for row in continuations.to_dict("records")
    ]


def published_view(data: ReportData, number: int, name: str) -> dict | None:
    """What others reported of a recipe beside what came out here, and how the methods differ."""
    published = data.experiments[name].get("published")
    if not published:
        return None
    tuned = f"tuned, {aggregation(data.experiments[name].get('seeds', []))}"
    columns = [
        Column("metric", "Metric"),
        Column("published_base", "base", "number", over="Published"),
        Column("published_tuned", "tuned", "number", over="Published"),
        Column("base", "base", "number", over="Here"),
        Column("tuned", tuned, "number", over="Here"),
    ]
    rows = [
        _published_row(data, own_fact(data, name, metric), metric, theirs)
        for metric, theirs in published["metrics"].items()
    ]
    title = f"Published figures beside those of {name}"
    return {
        "source": published["source"],
        "table": table(f"published{number}", title, columns, rows) if rows else None,
        "differs": published["differs"],
    }


def _published_row(data: ReportData, fact: Fact | None, metric: str, theirs: Mapping) -> Row:
    decimals = 0 if fact is None else data.decimals(fact)
    cells = {"metric": Cell(data.metric_title(metric))}
    for system in SYSTEMS:
        value, ours = theirs[system], getattr(fact, system, None)
        cells[f"published_{system}"] = Cell(_published_figure(value, theirs["scale"]), value)
        cells[system] = Cell(numbers.format_number(ours, decimals), ours)
    return Row(cells)


def _published_figure(value, scale: float) -> str:
    """A figure as it was published, and on our scale where that is another."""
    if not numbers.finite(value):
        return numbers.NOTHING
    figure = f"{value:,.6g}".replace("-", numbers.MINUS)
    return figure if scale == 1 else f"{scale * value:,.6g} ({figure} × {scale:g})"


def confusion_tables(
    name: str, matrices: Mapping, titles: Mapping[str, str], number: int
) -> list[Table]:
    """The matrices as counts, for those who cannot see them; none for very many labels."""
    labels = [str(one) for one in matrices["labels"]]
    if len(labels) > 20:
        return []
    keys = [f"predicted {label}" for label in labels]
    named = zip(keys, labels, strict=True)
    columns = [Column("true", "true"), *(Column(key, label, "number") for key, label in named)]
    return [
        table(
            f"confusion{number}-{system}-counts",
            f"{name}, {titles[system]}: true labels down, predicted labels across",
            columns,
            [
                Row({"true": Cell(label), **dict(zip(keys, map(Cell, texts, values), strict=True))})
                for label, texts, values in zip(
                    labels, confusion.cells(matrices[system]), matrices[system], strict=True
                )
            ],
        )
        for system in SYSTEMS
    ]
