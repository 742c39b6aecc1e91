"""The outputs of a system, scored by the metrics of its task."""

from __future__ import annotations

import pandas as pd

from deltatune.metrics.registry import load_metric

#: With fewer chapters than this the bootstrap resamples windows, not chapters.
MIN_CLUSTERS = 8


def compute_metrics(outputs: pd.DataFrame, kind: str, task: dict) -> tuple[pd.DataFrame, dict]:
    """Scores of every example, and the figures of the whole, by each metric of the task.

    outputs: a frame of answers, text or labels; kind: which of them. Returns (scores, figures):
    scores has id, cluster and, for each metric m, its value on the example alone and its sufficient
    statistics m_statistics; figures maps the metric to value, n, direction, title,
    signature and caveats.
    """
    scores = pd.DataFrame({"id": outputs["id"], "cluster": _clusters(outputs)})
    figures = {}
    for name in task["metrics"]:
        metric = load_metric(kind, name, task)
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


def _clusters(outputs: pd.DataFrame) -> pd.Series:
    """The cluster of each example: its chapter where there are enough of them, or itself."""
    if "chapter" in outputs and outputs["chapter"].nunique() >= MIN_CLUSTERS:
        return outputs["chapter"]
    return outputs["id"].astype(str)
