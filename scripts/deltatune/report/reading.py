"""The files of evaluations and training runs, as the frames that figures are drawn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

TIE = 1e-9
"""The largest difference between two scores that is rounding and no change."""


def losses(runs: Mapping[str, Sequence[str]], seeds: Sequence[int]) -> pd.DataFrame:
    """experiment, seed, step, epoch, split, loss.

    runs: experiment -> its loss.csv files, one for each of the seeds, in their order.
    """
    frames = []
    for experiment, paths in runs.items():
        for seed, path in zip(seeds, paths, strict=True):
            frame = pd.read_csv(path)
            frame.insert(0, "experiment", experiment)
            frame.insert(1, "seed", seed)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def scores(base: str, tuned: Sequence[str], metric: str) -> pd.DataFrame:
    """id, base, tuned: a metric on each example, tuned as the mean over seeds.

    base, tuned: paths of scores.parquet.
    """
    frame = pd.read_parquet(base, columns=["id", metric]).rename(columns={metric: "base"})
    values = [pd.read_parquet(path, columns=[metric])[metric].to_numpy() for path in tuned]
    return frame.assign(tuned=np.mean(values, axis=0))


def confusion(base: str, tuned: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    """labels, and counts [true, predicted] of base and tuned, tuned as the mean over seeds.

    So the diagonal over all is the accuracy of the tables, for both. base, tuned: paths of
    labels.parquet.
    """
    return {
        "labels": list(labels),
        "base": _counts(base, labels),
        "tuned": np.mean([_counts(path, labels) for path in tuned], axis=0),
    }


def _counts(path: str, labels: Sequence[str]) -> np.ndarray:
    frame = pd.read_parquet(path, columns=["label", "predicted"])
    table = pd.crosstab(frame["label"], frame["predicted"])
    return table.reindex(index=labels, columns=labels, fill_value=0).to_numpy()
