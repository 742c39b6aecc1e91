"""The mean of F1 over the labels that have test examples, from 0 to 1."""

import numpy as np

from deltatune.metrics.base import ratio
from deltatune.metrics.labels.macro_f1 import FEW, MacroF1, label_f1, support


class MacroF1Present(MacroF1):
    """The unweighted mean of the F1 of every label that has test examples.

    Equal to scikit-learn's f1_score(labels=unique(references), average="macro"). To predict a label
    without test examples is still an error: it is missed by the label that was right. Where every
    label has test examples this is macro F1.
    """

    title = "Macro F1 (present)"
    higher_is_better = True

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give the mean of 2 tp / (2 tp + fp + fn) over labels with tp + fn above 0."""
        present = support(totals) > 0
        return ratio((label_f1(totals) * present).sum(axis=-1), present.sum(axis=-1))

    def rare(self, statistics: np.ndarray) -> bool:
        """Whether a label that has test examples has fewer than FEW."""
        counts = support(statistics.sum(axis=0))
        return bool(((counts > 0) & (counts < FEW)).any())

    def without(self, absent: int, labels: int) -> str:
        """What absent labels do to the figure, as the end of a sentence."""
        return f", so the mean is over {labels - absent} of {labels} labels"

    def signature(self) -> str:
        """Say the labels and which of them count."""
        labels = ",".join(self.labels or ["those that occur"])
        return f"labels:{labels}|counted:those with test examples|agg:macro"
