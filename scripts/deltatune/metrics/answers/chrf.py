"""Corpus chrF++ as sacreBLEU computes it, from 0 to 100."""

import numpy as np
import pandas as pd
import sacrebleu

from deltatune.metrics.base import ANSWERS, Metric, ratio, texts
from deltatune.metrics.upstream import chrf_statistics

_CHARACTERS, _WORDS, _BETA = 6, 2, 2
"""The longest n-grams of characters and of words, and the weight of recall: sacreBLEU's chrF++."""


class Chrf(Metric):
    """chrF++: the F score of n-grams of characters and words (Popović 2015, 2017).

    It needs no words to be told apart, so it serves any script. The figure is sacreBLEU's own for
    the whole set, never the mean of sentence figures, and runs from 0 to 100.
    """

    title = "chrF++"
    higher_is_better = True
    bounds = (0.0, 100.0)
    inputs = ANSWERS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [examples, 24]: n-grams of answer, of reference and of both, for each of 8 orders.

        The orders are those of characters, 1 to 6, then those of words, 1 and 2.
        """
        rows = chrf_statistics(
            self._scorer(), texts(outputs, "answer"), texts(outputs, "reference")
        )
        return np.array(rows, dtype=np.float64).reshape(-1, 3 * (_CHARACTERS + _WORDS))

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give chrF++ from summed counts, as `sacrebleu.corpus_chrf` does."""
        totals = np.asarray(totals, dtype=np.float64)
        answer, reference, both = (totals[..., part::3] for part in range(3))
        counted = (answer > 0) & (reference > 0)
        orders = counted.sum(axis=-1)
        precision, recall = (
            np.nan_to_num(ratio(np.where(counted, ratio(both, part), 0.0).sum(axis=-1), orders))
            for part in (answer, reference)
        )
        weight = _BETA**2
        return 100 * np.nan_to_num(
            ratio((1 + weight) * precision * recall, weight * precision + recall)
        )

    def signature(self) -> str:
        """Give sacreBLEU's signature."""
        scorer = sacrebleu.CHRF(word_order=_WORDS, references=[["one reference"]])
        return str(scorer.get_signature())

    def _scorer(self) -> sacrebleu.CHRF:
        return sacrebleu.CHRF(char_order=_CHARACTERS, word_order=_WORDS, beta=_BETA)
