"""The outputs of a system, scored by the metrics of its task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from deltatune.core import evaluated_with, manifest
from deltatune.evaluate import behavior
from deltatune.metrics.registry import load_metric
from deltatune.metrics.settings import MetricsSettings


def compute_metrics(
    outputs: pd.DataFrame, settings: MetricsSettings, labels: Sequence[str] = ()
) -> tuple[pd.DataFrame, dict]:
    """Scores of every example, and the figures of the whole, by each metric of the task.

    outputs: a frame of answers, text or labels. labels: names of the classes; none where outputs
    are no labels. Returns (scores, figures): scores has id,
    cluster, cluster_unit and, for each metric m, its value on the example alone and its sufficient
    statistics m_statistics; figures maps the metric to value, n, direction, title, signature and
    caveats.
    """
    scores = pd.DataFrame({"id": outputs["id"], **_clusters(outputs)})
    figures = {}
    for name in settings.metrics:
        metric = load_metric(settings.outputs, name, labels, settings.language)
        totals = metric.statistics(outputs)
        scores[name] = metric.per_example(totals)
        scores[f"{name}_statistics"] = list(totals)
        figures[name] = {
            "value": metric.corpus(totals),
            "n": len(outputs),
            "higher_is_better": metric.higher_is_better,
            "title": metric.title,
            "signature": metric.signature(),
            "caveats": metric.caveats(outputs),
        }
        print(f"{name}: {figures[name]['value']:.6g} (n = {len(outputs)})")
    return scores, figures


def write(
    outputs: pd.DataFrame,
    settings: MetricsSettings,
    labels: Sequence[str],
    split: str,
    *,
    scores: str | Path,
    metrics: str | Path,
    table: str | Path,
) -> None:
    """Score the outputs of a system on one split of a task, and write the scores of every example,
    and the figures as JSON and as a table. Beside those of answers stands how the system answers,
    see `behavior`."""
    per_example, figures = compute_metrics(outputs, settings, labels)
    beside = {}
    if "answer" in outputs:
        per_example = pd.concat([per_example, behavior.per_example(outputs)], axis=1)
        beside["behavior"] = behavior.summary(outputs)
    evaluated_with.carry(outputs, per_example)
    per_example.to_parquet(scores, index=False)
    manifest.write(
        metrics,
        packages=["evaluate"],
        settings=settings.model_dump(),
        split=split,
        metrics=figures,
        **beside,
    )
    pd.DataFrame.from_dict(figures, orient="index").rename_axis("metric").to_csv(
        table, lineterminator="\n"
    )


def _clusters(outputs: pd.DataFrame) -> dict[str, pd.Series | str]:
    """cluster: what an example shares with those that it is not independent of, however few
    clusters there are (a comparison says what so few allow). cluster_unit: its word, in the plural.
    Where the outputs name none, each example is its own."""
    if "cluster" in outputs:
        return {"cluster": outputs["cluster"], "cluster_unit": outputs["cluster_unit"]}
    return {"cluster": outputs["id"].astype(str), "cluster_unit": "examples"}
