"""Exact match of the texts as they are, from 0 to 1."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import ANSWERS, MeanMetric, texts


class ExactMatchRaw(MeanMetric):
    """The share of answers equal to their reference, outer white space apart."""

    title = "Exact match (raw)"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give 1 or 0 for each answer."""
        pairs = zip(texts(outputs, "answer"), texts(outputs, "reference"), strict=True)
        return np.array([answer.strip() == ref.strip() for answer, ref in pairs], np.float64)

    def signature(self) -> str:
        """Say that nothing is normalized."""
        return "nrefs:1|norm:none (outer white space stripped)|agg:mean"
