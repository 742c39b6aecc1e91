"""Base against tuned, paired example by example, by each metric of a task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from deltatune.compare import statistics
from deltatune.compare.fact import BASE
from deltatune.compare.settings import ComparisonSettings
from deltatune.metrics.registry import load_metric


def compare(
    base: pd.DataFrame | Sequence[pd.DataFrame],
    tuned: Sequence[pd.DataFrame],
    settings: ComparisonSettings,
    labels: Sequence[str] = (),
    against: str = BASE,
) -> pd.DataFrame:
    """One row for each metric: base against tuned, paired by example, over all training seeds.

    base, tuned: scores as `evaluate.scores.compute_metrics` gives them; where two recipes are
    compared, base are the systems of one, as many as of the other. labels: names of the classes,
    where the outputs are labels. against: "base", or the name of what stands in its place.
    Returns the columns of `compare.table` but those that the family decides, and `most`: no |delta|
    is larger. Raises ValueError where base and tuned are not of the same examples.
    """
    bases = [base] if isinstance(base, pd.DataFrame) else list(base)
    examples = bases[0]
    for scores in [*bases, *tuned]:
        if not examples["id"].equals(scores["id"]):
            raise ValueError("base and tuned were not evaluated on the same examples")
    clusters, names = pd.factorize(examples["cluster"])
    clustered = len(names) < len(examples)
    cluster_unit = examples["cluster_unit"].iloc[0] if clustered else settings.unit
    metrics, options = settings.metrics, settings.statistics
    rows = []
    for name in metrics.metrics:
        metric = load_metric(metrics.outputs, name, labels, metrics.language)
        base_statistics = [np.stack(scores[f"{name}_statistics"]) for scores in bases]
        result = statistics.compare(
            base_statistics,
            [np.stack(scores[f"{name}_statistics"]) for scores in tuned],
            metric.aggregate,
            clusters=clusters,
            rare=metric.rare(base_statistics[0]),
            most=metric.bounds[1] - metric.bounds[0],
            resamples=options.resamples,
            confidence=options.confidence,
            family=settings.family,
            seed=options.seed,
        )
        rows.append(
            {
                "experiment": settings.experiment,
                "task": settings.task,
                "model": settings.model,
                "metric": name,
                "main": name == settings.main_metric,
                "higher_is_better": metric.higher_is_better,
                "against": against,
                "n": result.n,
                "unit": settings.unit,
                "clusters": result.units,
                "cluster_unit": cluster_unit,
                "differing": result.differing,
                "seeds": len(tuned),
                "most": metric.bounds[1] - metric.bounds[0],
                **_figures(result),
            }
        )
    return pd.DataFrame(rows)


def of_examples(scores: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """The scores of a baseline on the examples that a model was asked: all but those that its chat
    template refuses."""
    return scores[scores["id"].isin(examples["id"])].reset_index(drop=True)


def _figures(result: statistics.Comparison) -> dict[str, Any]:
    """The columns of a comparison that are computed."""
    return {
        "base": result.base,
        "tuned": result.tuned,
        "delta": result.delta,
        "seed_sd": result.seed_sd,
        "estimand": result.estimand,
        "ci_low": result.ci_low,
        "ci_high": result.ci_high,
        "p_value": result.p_value,
        "p_is_floor": result.p_is_floor,
        "adapters_low": result.adapters_low,
        "adapters_high": result.adapters_high,
        "adapters_p": result.adapters_p,
        "adapters_p_is_floor": result.adapters_p_is_floor,
        "item_se": math.sqrt(result.records.variance),
        "item_df": result.records.df,
        "no_interval": " ".join(result.no_interval),
        "no_p": " ".join(result.no_p),
        "method": result.method,
    }
