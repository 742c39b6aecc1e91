"""Base against tuned, paired example by example, by each metric of a task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from deltatune.compare import statistics
from deltatune.compare.table import COLUMNS
from deltatune.metrics.registry import load_metric


def compare(base: pd.DataFrame, tuned: Sequence[pd.DataFrame], settings: dict) -> pd.DataFrame:
    """One row for each metric: base against tuned, paired by example, over all training seeds.

    base, tuned: scores as `evaluate.scores.compute_metrics` gives them. Returns the COLUMNS of
    `compare.table` but p_holm, and the other fields of `statistics.Comparison`. Raises
    ValueError where base and tuned are not of the same examples.
    """
    for scores in tuned:
        if not base["id"].equals(scores["id"]):
            raise ValueError("base and tuned were not evaluated on the same examples")
    clusters, names = pd.factorize(base["cluster"])
    unit = "chapters" if len(names) < len(base) else settings["unit"]
    options = settings["statistics"]
    rows = []
    for name in settings["metrics"]:
        metric = load_metric(settings["outputs"], name, settings)
        result = statistics.compare(
            np.stack(base[f"{name}_statistics"]),
            [np.stack(scores[f"{name}_statistics"]) for scores in tuned],
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
                "detectable": result.minimum_detectable_effect,
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
