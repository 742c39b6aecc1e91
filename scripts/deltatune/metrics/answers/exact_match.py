"""Exact match after SQuAD's normalization, from 0 to 1."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import ANSWERS, MeanMetric, texts
from deltatune.metrics.squad import normalize, signature


class ExactMatch(MeanMetric):
    """The share of answers equal to their reference once both are normalized as in SQuAD 2.0.

    Two texts that are both empty after normalization match.
    """

    title = "Exact match"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give 1 or 0 for each answer."""
        pairs = zip(texts(outputs, "answer"), texts(outputs, "reference"), strict=True)
        return np.array(
            [
                normalize(answer, self.language) == normalize(reference, self.language)
                for answer, reference in pairs
            ],
            np.float64,
        )

    def signature(self) -> str:
        """Say the normalization."""
        return f"nrefs:1|{signature(self.language)}|agg:mean"
