"""The mean over labels of their F1, from 0 to 1."""

from typing import Any

import numpy as np
import pandas as pd

from deltatune.core.errors import UserError
from deltatune.metrics.base import LABELS, Metric, ratio, texts

#: A class with fewer test examples is rare: one example then moves its F1 by a tenth or more.
FEW = 5


class MacroF1(Metric):
    """The unweighted mean of the F1 of every label of the task.

    Equal to scikit-learn's f1_score(labels=..., average="macro", zero_division=0): a label that
    is neither there nor predicted counts as 0, and the labels are the task's, not those that
    happen to occur. A label without test examples so lowers the highest possible figure;
    macro_f1_present leaves it out.
    """

    title = "Macro F1"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = LABELS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [examples, 3 K]: true positives, false positives, false negatives of K labels.

        Raises UserError when the labels are not known, or a value is not one of them.
        """
        if not self.labels:
            raise UserError(
                "macro_f1 needs the labels of the task: list them as `labels` in config.yaml"
            )
        right = _one_hot(texts(outputs, "label"), self.labels, "label")
        chosen = _one_hot(texts(outputs, "predicted"), self.labels, "predicted")
        return np.hstack([right * chosen, (1 - right) * chosen, right * (1 - chosen)])

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give the mean over labels of 2 tp / (2 tp + fp + fn)."""
        return label_f1(totals).mean(axis=-1)

    def per_example(self, statistics: np.ndarray) -> np.ndarray:
        """Give 1 for a right label and 0 for a wrong one: one example has no F1 of its own."""
        return np.split(statistics, 3, axis=-1)[0].sum(axis=-1)

    def rare(self, statistics: np.ndarray) -> bool:
        """Whether a label of the task has fewer than FEW test examples, or none."""
        return bool((support(statistics.sum(axis=0)) < FEW).any())

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Name the labels without test examples, and the rare ones."""
        totals = self.statistics(outputs).sum(axis=0)
        counts = dict(zip(self.labels, support(totals).astype(int).tolist(), strict=True))
        absent = [str(label) for label, count in counts.items() if not count]
        few = [f"{label} ({count})" for label, count in counts.items() if 0 < count < FEW]
        lines = []
        if absent:
            verb = "has" if len(absent) == 1 else "have"
            lines.append(
                f"{self.title}: {_listed(absent)} {verb} no test example"
                f"{self.without(len(absent), len(counts))}"
            )
        if few:
            # The same words for each macro F1, so that they are read once.
            lines.append(
                f"Macro F1 rests on few examples: the test has fewer than {FEW} of {_listed(few)}"
            )
        return lines

    def without(self, absent: int, labels: int) -> str:
        """What absent labels do to the figure, as the end of a sentence."""
        return (
            f" and {'counts' if absent == 1 else 'count'} as 0, so the figure cannot exceed "
            f"{1 - absent / labels:.2f}; macro_f1_present leaves such labels out"
        )

    def signature(self) -> str:
        """Say the labels and the rule for labels that do not occur."""
        labels = ",".join(self.labels or ["those that occur"])
        return f"labels:{labels}|zero_division:0|agg:macro"

    def _compute(self, **columns: Any) -> dict[str, float]:
        if self.labels:
            return super()._compute(**columns)
        # Alone, with no task to name the labels, they are those that occur, as in scikit-learn.
        labels = sorted({*columns["predictions"], *columns["references"]})
        return type(self)(labels=labels)._compute(**columns)


def label_f1(totals: np.ndarray) -> np.ndarray:
    """F1 of each label, [..., K], from [..., 3 K] totals; 0 where it neither occurs nor is
    predicted."""
    hits, wrong, missed = np.split(np.asarray(totals, dtype=np.float64), 3, axis=-1)
    return np.nan_to_num(ratio(2 * hits, 2 * hits + wrong + missed), nan=0.0)


def support(totals: np.ndarray) -> np.ndarray:
    """Test examples of each label, [..., K], from [..., 3 K] totals."""
    hits, _, missed = np.split(np.asarray(totals, dtype=np.float64), 3, axis=-1)
    return hits + missed


def _listed(labels: list[str], most: int = 5) -> str:
    """Labels in words, the first ones of many."""
    more = len(labels) - most
    shown = labels if more <= 1 else [*labels[:most], f"{more} more"]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


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
