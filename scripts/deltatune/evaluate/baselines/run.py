"""All plain baselines of a task: their outputs, in the form of a model's, and their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from deltatune.core import manifest
from deltatune.evaluate import scores
from deltatune.evaluate.baselines.base import Baseline
from deltatune.evaluate.baselines.settings import FitSettings
from deltatune.tasks.base import TaskKind, labeled
from deltatune.tasks.registry import load_kind


def outputs(
    baseline: Baseline,
    train: pd.DataFrame,
    asked: pd.DataFrame,
    kind: TaskKind,
    settings: FitSettings,
) -> pd.DataFrame:
    """What a baseline gives on exactly the records that models are evaluated on.

    All columns of the kind's questions but the prompt, and of answers: answer, finished; of labels:
    predicted, and predicted_calibrated, which is the same, as there is no prompt to calibrate on.
    """
    questions = kind.questions(asked, settings.prompts, settings.questions)
    questions = questions.reset_index(drop=True).drop(columns="prompt")
    records = asked.set_index("id", drop=False).loc[questions["id"]]
    predicted = list(baseline.predict(train, records, kind))
    if kind.OUTPUTS == "labels":
        return questions.assign(predicted=predicted, predicted_calibrated=predicted)
    return questions.assign(answer=predicted, finished=True)


def write(
    baselines: Mapping[str, Baseline],
    inputs: Any,
    files: Any,
    settings: FitSettings,
    split: str,
    labels: Sequence[str] = (),
) -> None:
    """Evaluate baselines on one split of a task.

    inputs: `train` and `records`, Parquet files: what they learn from, and what they are asked.
    files: for each of the baselines, in their order, the paths `outputs`, `manifests`, `scores`,
    `metrics` and `tables`. labels: names of the classes, where there are some.
    """
    kind = load_kind(settings.kind)
    settings = labeled(kind, settings, labels)
    train, asked = pd.read_parquet(inputs.train), pd.read_parquet(inputs.records)
    for place, (name, baseline) in enumerate(baselines.items()):
        print(f"{name}: {baseline.title}")
        given = outputs(baseline, train, asked, kind, settings)
        given.to_parquet(files.outputs[place], index=False)
        counts = {}
        if "answer" in given:
            empty = sum(not text.strip() for text in given["answer"])
            counts = {"unfinished": 0, "empty": empty, "prompts_cut": 0}
        manifest.write(
            files.manifests[place],
            packages=["scikit-learn"],
            settings=settings.model_dump(mode="json"),
            split=split,
            baseline=name,
            title=baseline.title,
            examples=len(given),
            **counts,
        )
        scores.write(
            given,
            settings.metrics,
            labels,
            split,
            scores=files.scores[place],
            metrics=files.metrics[place],
            table=files.tables[place],
        )
