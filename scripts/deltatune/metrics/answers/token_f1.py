"""F1 over the words that answer and reference share, as SQuAD counts it, from 0 to 1."""

from collections import Counter

import numpy as np
import pandas as pd

from deltatune.metrics.base import ANSWERS, MeanMetric, texts
from deltatune.metrics.squad import normalize


class TokenF1(MeanMetric):
    """The F1 of shared words after SQuAD's normalization, for each answer, then the mean.

    SQuAD 2.0's rule for empty texts: if either has no word left, the score is 1 when both have
    none and 0 otherwise.
    """

    title = "Token F1"
    higher_is_better = True
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the F1 of each answer, 0 to 1."""
        pairs = zip(texts(outputs, "answer"), texts(outputs, "reference"), strict=True)
        return np.array([_f1(answer, reference) for answer, reference in pairs], np.float64)

    def signature(self) -> str:
        """Say the normalization and the rule for empty texts."""
        return (
            "nrefs:1|norm:squad (lower case, no ASCII punctuation, no a/an/the)"
            "|empty:squad2|agg:mean"
        )


def _f1(answer: str, reference: str) -> float:
    words, expected = normalize(answer).split(), normalize(reference).split()
    if not words or not expected:
        return float(words == expected)
    shared = sum((Counter(words) & Counter(expected)).values())
    return 2.0 * shared / (len(words) + len(expected))
