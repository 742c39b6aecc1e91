"""From the files of evaluations to the examples that the page carries.

Scores are read whole, texts only of the examples that are carried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from deltatune.core import label_file
from deltatune.report import examples
from deltatune.report.examples import CONTINUATIONS, ExampleTable

EXACT = ("exact_match", "exact_match_raw")
"""Metrics that say whether an answer is right, the first that a task has."""
FLAGS = ("truncated", "empty")
"""Of scores.parquet, see `evaluate.behavior`."""
SHARES = 3
"""Labels of an example whose shares are carried, the likeliest."""
TEXTS = {
    "answers": {"prompt": "prompt", "reference": "reference"},
    "labels": {"prompt": "text", "reference": "label"},
    "text": {"prompt": "text"},
}
"""Outputs -> what a column of the records is called there."""


def read(
    pairs: Sequence[Mapping[str, Any]],
    experiments: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Mapping[str, Any]],
    limit: int,
) -> list[ExampleTable]:
    """A table for each task and base, with all experiments that are tuned from it.

    pairs, experiments: of the plan of the report. metrics: name -> title, higher_is_better.
    limit: examples of a table.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for pair in pairs:
        key = pair["task"], pair["files"]["scores"]["base"]
        groups.setdefault(key, []).append(pair)
    tables = [_scored(group, experiments, metrics, limit) for group in groups.values()]
    return [*tables, *_continued(experiments)]


def _scored(
    pairs: Sequence[Mapping[str, Any]],
    experiments: Mapping[str, Mapping[str, Any]],
    metrics: Mapping[str, Mapping[str, Any]],
    limit: int,
) -> ExampleTable:
    """Of experiments on one task that are tuned from one base."""
    one = pairs[0]
    metric, higher = one["main_metric"], metrics[one["main_metric"]]["higher_is_better"]
    base = _scores(one, "base")
    tuned = {
        pair["experiment"]: dict(
            zip(experiments[pair["experiment"]]["seeds"], _tuned_scores(pair), strict=True)
        )
        for pair in pairs
    }
    gains = [
        examples.gains(base["score"], [frame["score"] for frame in seeds.values()], higher)
        for seeds in tuned.values()
    ]
    rows = examples.choose(gains, limit)
    labels = label_file.read(one["files"].get("classes", []))
    files = {pair["experiment"]: pair["files"]["outputs"]["tuned"] for pair in pairs}
    return ExampleTable(
        task=one["task"],
        outputs=one["outputs"],
        metric=metric,
        higher_is_better=higher,
        title=metrics[metric]["title"],
        unit=one["unit"],
        records=_records(one, rows),
        base=_system(base, one["files"]["outputs"]["base"], one["outputs"], rows, labels),
        tuned={
            name: {
                seed: _system(frame, path, one["outputs"], rows, labels)
                for (seed, frame), path in zip(seeds.items(), files[name], strict=True)
            }
            for name, seeds in tuned.items()
        },
        tested=len(base),
        counts={
            name: examples.count(base, list(seeds.values()), higher)
            for name, seeds in tuned.items()
        },
    )


def _tuned_scores(pair: Mapping[str, Any]) -> Iterator[pd.DataFrame]:
    return (_scores(pair, place) for place in range(len(pair["files"]["scores"]["tuned"])))


def _scores(pair: Mapping[str, Any], system: str | int) -> pd.DataFrame:
    """score, and where they are known right, truncated and empty, of all examples of a system:
    "base", or the place of a seed."""
    scores, outputs = (
        files["base"] if system == "base" else files["tuned"][system]
        for files in (pair["files"]["scores"], pair["files"]["outputs"])
    )
    exact = [name for name in EXACT if pair["outputs"] == "answers"]
    there = set(pq.read_schema(scores).names)
    wanted = [name for name in (*exact, *FLAGS) if name in there]
    frame = pd.read_parquet(scores, columns=list({pair["main_metric"], *wanted}))
    result = pd.DataFrame({"score": frame[pair["main_metric"]].astype("float64")})
    if pair["outputs"] == "labels":
        labels = pd.read_parquet(outputs, columns=["label", "predicted"])
        result["right"] = (labels["label"] == labels["predicted"]).to_numpy()
    elif exact and (known := [name for name in exact if name in frame]):
        result["right"] = frame[known[0]] == 1
    elif exact:
        texts = pd.read_parquet(outputs, columns=["reference", "answer"])
        result["right"] = (texts["reference"].str.strip() == texts["answer"].str.strip()).to_numpy()
    return result.assign(**{name: frame[name].astype(bool) for name in FLAGS if name in frame})


def _records(pair: Mapping[str, Any], rows: Sequence[int]) -> pd.DataFrame:
    """id, prompt, reference of some rows."""
    named = TEXTS[pair["outputs"]]
    frame = _rows(pair["files"]["outputs"]["base"], ["id", *named.values()], rows)
    texts = {name: frame[column] for name, column in named.items()}
    return pd.DataFrame({"id": frame["id"], "reference": "", **texts})


def _system(
    scores: pd.DataFrame, path: str, outputs: str, rows: Sequence[int], labels: Sequence[str]
) -> pd.DataFrame:
    """What a system puts out on some rows, with its scores."""
    frame = scores.iloc[list(rows)].reset_index(drop=True)
    if outputs == "answers":
        return frame.assign(output=_rows(path, ["answer"], rows)["answer"])
    if outputs == "labels":
        chosen = _rows(path, ["predicted", "logprobs"], rows)
        shares = [_shares(logs, labels) for logs in chosen["logprobs"]]
        return frame.assign(output=chosen["predicted"], shares=shares)
    return frame


def _shares(logprobs: Sequence[float], labels: Sequence[str]) -> dict[str, float]:
    """label -> its share of the probability of all labels, of the likeliest, the largest first."""
    logs = np.asarray(logprobs, np.float64)
    shares = np.exp(logs - logs.max())
    shares /= shares.sum()
    return {labels[n]: float(shares[n]) for n in np.argsort(-shares, kind="stable")[:SHARES]}


def _continued(experiments: Mapping[str, Mapping[str, Any]]) -> Iterator[ExampleTable]:
    """Continuations of prose, of each experiment on it."""
    for name, experiment in experiments.items():
        if experiment["outputs"] != "text":
            continue
        files = experiment["files"]["answers"]
        base = pd.read_parquet(files["base"])
        tuned = zip(experiment["seeds"], files["tuned"], strict=True)
        yield ExampleTable(
            task=experiment["task"],
            outputs=CONTINUATIONS,
            metric="",
            higher_is_better=True,
            title="",
            unit=CONTINUATIONS,
            records=base[["id", "prompt", "reference"]],
            base=base[["answer"]].set_axis(["output"], axis=1),
            tuned={
                name: {
                    seed: pd.read_parquet(path, columns=["answer"]).set_axis(["output"], axis=1)
                    for seed, path in tuned
                }
            },
            tested=len(base),
        )


def _rows(path: str, columns: Sequence[str], rows: Sequence[int]) -> pd.DataFrame:
    return pq.read_table(path, columns=list(dict.fromkeys(columns))).take(list(rows)).to_pandas()
