"""From what systems said to scores, and from scores to comparisons."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deltatune.compare import statistics
from deltatune.metrics.registry import load_metric

COLUMNS = [
    "experiment",
    "task",
    "model",
    "metric",
    "higher_is_better",
    "n",
    "base",
    "tuned",
    "delta",
    "ci_low",
    "ci_high",
    "p_value",
    "p_holm",
]

#: With fewer chapters than this a resample of chapters says little; windows are resampled then.
MIN_CLUSTERS = 8


def compute_metrics(outputs: pd.DataFrame, kind: str, task: dict) -> tuple[pd.DataFrame, dict]:
    """Scores of every example, and the figures of the whole, by each metric of the task.

    outputs: a frame of answers, text or labels; kind: which of them. Returns (scores, figures):
    scores has id, cluster and, for each metric m, its value on the example alone and the sums
    m_statistics that it is made from; figures maps the metric to value, n, direction, title,
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
    """What is resampled together: the chapter, where enough are known, else each example."""
    if "chapter" in outputs and outputs["chapter"].nunique() >= MIN_CLUSTERS:
        return outputs["chapter"]
    return outputs["id"].astype(str)


def compare(base: pd.DataFrame, tuned: Sequence[pd.DataFrame], settings: dict) -> pd.DataFrame:
    """One row for each metric: base against tuned, paired by example, over all training seeds.

    base, tuned: scores as `compute_metrics` gives them. Raises ValueError where they are not of
    the same examples. For the columns see COLUMNS and `statistics.compare`.
    """
    for other in tuned:
        if not base["id"].equals(other["id"]):
            raise ValueError("base and tuned were not evaluated on the same examples")
    clusters, names = pd.factorize(base["cluster"])
    kind = settings["outputs"]
    unit = "chapters" if len(names) < len(base) else "windows" if kind == "text" else "examples"
    options = settings["statistics"]
    rows = []
    for name in settings["metrics"]:
        metric = load_metric(kind, name, settings)
        result = statistics.compare(
            np.stack(base[f"{name}_statistics"]),
            [np.stack(frame[f"{name}_statistics"]) for frame in tuned],
            metric.aggregate,
            clusters=clusters,
            resamples=options["resamples"],
            confidence=options["confidence"],
            seed=options["seed"],
        )
        rows.append(
            {
                "experiment": settings["experiment"],
                "task": settings["task"],
                "model": settings["model"],
                "metric": name,
                "higher_is_better": metric.higher_is_better,
                "n": len(base),
                "base": result.base,
                "tuned": result.tuned,
                "delta": result.delta,
                "ci_low": result.ci_low,
                "ci_high": result.ci_high,
                "p_value": result.p_value,
                "seeds": len(tuned),
                "seed_sd": result.seed_sd,
                "detectable": result.detectable,
                "unit": unit,
                "clusters": result.units,
                "method": result.method,
            }
        )
    return pd.DataFrame(rows)


def join(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """All comparisons in one table of COLUMNS; p_holm is adjusted over all of its rows."""
    table = pd.concat(tables, ignore_index=True)
    table["p_holm"] = statistics.holm(table["p_value"])
    return table[COLUMNS]
