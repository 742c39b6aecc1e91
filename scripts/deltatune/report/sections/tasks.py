"""Each experiment on its own task."""

from collections.abc import Mapping

import pandas as pd

from deltatune.report import examples, markup, numbers
from deltatune.report.data import ReportData
from deltatune.report.figures import confusion, differences, embed

SYSTEMS = ("base", "tuned")


def view(data: ReportData) -> list[dict]:
    """One entry for each experiment."""
    return [experiment_view(data, number, name) for number, name in enumerate(data.experiments)]


def experiment_view(data: ReportData, number: int, name: str) -> dict:
    """One experiment on its own task: what got better or worse, by how much, how it looks."""
    experiment = data.experiments[name]
    scores = data.scores.get(name)
    matrices = data.confusions.get(name)
    continuations = data.continuations.get(name)
    return {
        "key": f"experiment{number}",
        "name": name,
        "task": experiment.get("task", ""),
        "kind": experiment.get("kind", ""),
        "model": experiment.get("model", ""),
        "quantization": experiment.get("quantization") or "none",
        "seeds": [str(seed) for seed in experiment.get("seeds", [])],
        "settings": experiment.get("settings") or {},
        "published": published_view(data, name),
        "spread": None if scores is None or scores.empty else spread_view(data, number, name),
        "confusion": confusion_view(matrices, number) if matrices and matrices["labels"] else None,
        "baselines": baseline_rows(data, experiment),
        "continuations": [] if continuations is None else continuation_rows(continuations),
    }


def spread_view(data: ReportData, number: int, name: str) -> dict:
    """How many examples got better or worse in the main metric, and how far they moved."""
    scores, higher = data.scores[name], data.higher_is_better(name)
    title = data.metric_title(data.experiments[name].get("main_metric", ""))
    unit = data.experiments[name].get("unit", "examples")
    tally = examples.tally(scores, higher)
    alt = (
        f"Differences of {title} over {tally['total']} {unit}: {tally['wins']} better, "
        f"{tally['ties']} unchanged, {tally['losses']} worse."
    )
    caption = f"How far {unit} moved. Gray: unchanged. Dashed: the mean."
    if not differences.few_levels(scores):
        caption += " The outermost bars hold all that lies beyond."
    figure = differences.plot(scores, higher, title, unit)
    return {
        "metric": title,
        "unit": unit,
        "tally": tally,
        "figure": embed.view(figure, alt, f"differences{number}", caption),
    }


def confusion_view(matrices: Mapping, number: int) -> dict:
    """The confusion matrices of base and tuned, drawn and as tables."""
    alt = "Confusion matrix of the {} model; its numbers are in the table below."
    figures = [
        embed.view(
            confusion.plot(matrices, (system,)), alt.format(system), f"confusion{number}-{system}"
        )
        for system in SYSTEMS
    ]
    return {"figures": figures, "table": confusion_table(matrices)}


def continuation_rows(continuations: pd.DataFrame) -> list[dict]:
    """Fixed prompts as base and tuned continue them."""
    return [
        {key: markup.show(row[key], limit=2000) for key in ("prompt", *SYSTEMS)}
        for row in continuations.to_dict("records")
    ]


def published_view(data: ReportData, name: str) -> dict | None:
    """What others reported of a recipe beside what came out here, and how the methods differ."""
    published = data.experiments[name].get("published")
    if not published:
        return None
    ours = data.comparison[
        (data.comparison["experiment"] == name)
        & (data.comparison["task"] == data.experiments[name].get("task"))
    ].set_index("metric")
    rows = []
    for metric, theirs in published["metrics"].items():
        row = ours.loc[metric].to_dict() if metric in ours.index else {}
        decimals = numbers.decimals_for(row)
        rows.append(
            {
                "metric": data.metric_title(metric),
                "theirs": [_published_figure(theirs[s], theirs["scale"]) for s in SYSTEMS],
                "ours": [numbers.format_number(row.get(s), decimals) for s in SYSTEMS],
            }
        )
    return {"source": published["source"], "rows": rows, "differs": published["differs"]}


def _published_figure(value, scale: float) -> str:
    """A figure as it was published, and on our scale where that is another."""
    if not numbers.finite(value):
        return numbers.NOTHING
    figure = f"{value:,.6g}".replace("-", numbers.MINUS)
    return figure if scale == 1 else f"{scale * value:,.6g} ({figure} × {scale:g})"


def confusion_table(matrices: Mapping) -> dict | None:
    """The matrices as rows of counts, for those who cannot see them; None for very many labels."""
    labels = [str(one) for one in matrices["labels"]]
    if len(labels) > 20:
        return None
    systems = [
        {
            "name": system,
            "rows": [
                {"label": one, "counts": [numbers.format_count(value) for value in row]}
                for one, row in zip(labels, matrices[system], strict=True)
            ],
        }
        for system in SYSTEMS
    ]
    return {"labels": labels, "systems": systems}


def baseline_rows(data: ReportData, experiment: Mapping) -> list[dict]:
    """Plain baselines of a task beside base and tuned, in the metrics that they have."""
    return [
        {
            "name": name,
            "scores": [
                (data.metric_title(key), numbers.format_number(value, 3))
                for key, value in scores.items()
                if key not in ("ci_low", "ci_high", "n") and numbers.finite(value)
            ],
            "interval": numbers.format_interval(scores.get("ci_low"), scores.get("ci_high"), 3),
            "metric": data.metric_title(experiment.get("main_metric")),
        }
        for name, scores in data.baselines.get(experiment.get("task"), {}).items()
    ]
