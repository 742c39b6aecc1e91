"""The mean over labels of their F1, from 0 to 1."""

from typing import Any

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.metrics.base import LABELS, Metric, ratio, texts


class MacroF1(Metric):
    """The unweighted mean of the F1 of every label of the task.

    Equal to scikit-learn's f1_score(labels=..., average="macro", zero_division=0): a label that
    is neither there nor predicted counts as 0, and the labels are the task's, not those that
    happen to occur.
    """

    title = "Macro F1"
    higher_is_better = True
    inputs = LABELS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [examples, 3 K]: true positives, false positives, false negatives of K labels.

        Raises UserError when the labels are not known, or a value is not one of them.
        """
        labels = self.task.get("labels")
        if not labels:
            raise UserError(
                "macro_f1 needs the labels of the task: list them as `labels` in config.yaml"
            )
        right = _one_hot(texts(outputs, "label"), labels, "label")
        chosen = _one_hot(texts(outputs, "predicted"), labels, "predicted")
        return np.hstack([right * chosen, (1 - right) * chosen, right * (1 - chosen)])

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give the mean over labels of 2 tp / (2 tp + fp + fn)."""
        hits, wrong, missed = np.split(np.asarray(totals, dtype=np.float64), 3, axis=-1)
        return np.nan_to_num(ratio(2 * hits, 2 * hits + wrong + missed), nan=0.0).mean(axis=-1)

    def per_example(self, statistics: np.ndarray) -> np.ndarray:
        """Give 1 for a right label and 0 for a wrong one: one example has no F1 of its own."""
        return np.split(statistics, 3, axis=-1)[0].sum(axis=-1)

    def rare(self, statistics: np.ndarray) -> bool:
        """Whether a label has fewer than 5 examples: one more would move its F1 by much."""
        hits, _, missed = np.split(np.asarray(statistics, dtype=np.float64).sum(axis=0), 3)
        return bool((hits + missed).min() < 5)

    def signature(self) -> str:
        """Say the labels and the rule for labels that do not occur."""
        labels = ",".join(map(str, self.task.get("labels") or ["those that occur"]))
        return f"labels:{labels}|zero_division:0|agg:macro"

    def _compute(self, **columns: Any) -> dict[str, float]:
        if self.task.get("labels"):
            return super()._compute(**columns)
        # Alone, with no task to name the labels, they are those that occur, as in scikit-learn.
        labels = sorted({*columns["predictions"], *columns["references"]})
        return type(self)(task={"labels": labels})._compute(**columns)


def _one_hot(values: list[str], labels: list[str], column: str) -> np.ndarray:
    """Give [examples, K] of 0 and 1; raises UserError for a value that is no label."""
    position = {str(label): index for index, label in enumerate(labels)}
    unknown = sorted({value for value in values if value not in position})
    if unknown:
        raise UserError(
            f"column {column!r} of the outputs to score holds {unknown[0]!r}, which is not among "
            f"the task's labels ({', '.join(position)}): correct `labels` in config.yaml, or the "
            "data"
        )
    columns = np.array([position[value] for value in values], dtype=np.intp)
    return np.eye(len(labels))[columns]
