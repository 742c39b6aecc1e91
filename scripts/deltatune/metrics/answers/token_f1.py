"""F1 over the words that answer and reference share, as SQuAD counts it, from 0 to 1."""

from collections import Counter

import numpy as np
import pandas as pd

from deltatune.metrics.base import ANSWERS, MeanMetric, texts
from deltatune.metrics.squad import normalize, signature
from deltatune.metrics.words import split_cjk, unspaced


class TokenF1(MeanMetric):
    """The F1 of shared words after SQuAD's normalization, for each answer, then the mean.

    Han and Kana count by the character. SQuAD 2.0's rule for empty texts: if either has no word
    left, the score is 1 when both have none and 0 otherwise.
    """

    title = "Token F1"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give the F1 of each answer, 0 to 1."""
        pairs = zip(texts(outputs, "answer"), texts(outputs, "reference"), strict=True)
        return np.array(
            [_f1(*(split_cjk(normalize(text, self.language)) for text in pair)) for pair in pairs],
            np.float64,
        )

    def signature(self) -> str:
        """Say the normalization, the tokens and the rule for empty texts."""
        return (
            f"nrefs:1|{signature(self.language)}|tok:words, CJK by character|empty:squad2|agg:mean"
        )

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Say where words cannot be told apart."""
        return unspaced(texts(outputs, "reference"), "token F1")


def _f1(words: list[str], expected: list[str]) -> float:
    if not words or not expected:
        return float(words == expected)
    shared = sum((Counter(words) & Counter(expected)).values())
    return 2.0 * shared / (len(words) + len(expected))
