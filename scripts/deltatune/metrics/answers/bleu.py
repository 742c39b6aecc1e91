"""Corpus BLEU as sacreBLEU computes it, from 0 to 100."""

import importlib.util

import numpy as np
import pandas as pd
import sacrebleu

from deltatune.metrics.base import ANSWERS, Metric, ratio, texts
from deltatune.metrics.words import unspaced

_ORDERS = 4
_CHINESE = ("zh", "cmn", "yue", "wuu", "nan", "hak", "lzh")
_BY_CHARACTER = ("ja", "ko", "th", "lo", "km", "my", "bo", "dz")


class Bleu(Metric):
    """Corpus BLEU with sacreBLEU's defaults: mixed case, exponential smoothing, 13a tokens.

    The tokens of Chinese, Japanese, Korean and of languages without spaces are others, see
    `tokenizer`.

    Papineni et al. 2002; Post 2018, "A Call for Clarity in Reporting BLEU Scores". The figure is
    sacreBLEU's own for the whole set, never the mean of sentence figures, and runs from 0 to 100.
    """

    title = "BLEU"
    higher_is_better = True
    bounds = (0.0, 100.0)
    inputs = ANSWERS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [examples, 10]: answer length, reference length, 4 matches, 4 n-gram counts."""
        # effective_order has no part in the counts; it only keeps sacreBLEU from warning, for
        # each example, about a sentence figure that is not used.
        scorer = sacrebleu.BLEU(effective_order=True, tokenize=tokenizer(self.language))
        rows = [
            [score.sys_len, score.ref_len, *score.counts, *score.totals]
            for answer, reference in zip(
                texts(outputs, "answer"), texts(outputs, "reference"), strict=True
            )
            for score in [scorer.sentence_score(answer, [reference])]
        ]
        return np.array(rows, dtype=np.float64).reshape(-1, 2 + 2 * _ORDERS)

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give BLEU from summed counts, as `sacrebleu.corpus_bleu` does."""
        return _bleu(totals, effective_order=False)

    def per_example(self, statistics: np.ndarray) -> np.ndarray:
        """Give `sacrebleu.sentence_bleu`, which leaves out orders that are longer than the answer.

        With all four orders every answer of fewer than four tokens would score 0.
        """
        return _bleu(statistics, effective_order=True)

    def signature(self) -> str:
        """Give sacreBLEU's signature, which names the tokenizer."""
        # sacreBLEU learns the number of references from data: one, here.
        scorer = sacrebleu.BLEU(tokenize=tokenizer(self.language), references=[["one reference"]])
        return str(scorer.get_signature())

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Say where words cannot be told apart."""
        if tokenizer(self.language) in ("char", "ja-mecab"):
            return []
        cjk = tokenizer(self.language) != "zh"
        return unspaced(texts(outputs, "reference"), "BLEU", cjk=cjk)


def tokenizer(language: str) -> str:
    """sacreBLEU's tokenizer for a language: 13a, but for those that it has others for.

    Of Japanese the one by words is taken where its packages are installed, and else that by
    character, as for Korean and for scripts without spaces, for which sacreBLEU has none that needs
    no other package.
    """
    if language in _CHINESE:
        return "zh"
    if language == "ja" and all(map(importlib.util.find_spec, ("MeCab", "ipadic"))):
        return "ja-mecab"
    return "char" if language in _BY_CHARACTER else "13a"


def _bleu(totals: np.ndarray, effective_order: bool) -> np.ndarray:
    """BLEU of sums [..., 10] -> [...], 0 to 100.

    Smoothing "exp" (method 3 of Chen and Cherry 2014): the k-th order without a match, of those
    that have n-grams at all, gets the precision 1 / (2^k * total).
    """
    totals = np.asarray(totals, dtype=np.float64)
    answer_length, reference_length = totals[..., 0], totals[..., 1]
    matches, totals = totals[..., 2 : 2 + _ORDERS], totals[..., 2 + _ORDERS :]
    unmatched = matches == 0
    smoothed = np.where(unmatched, 0.5 ** np.cumsum(unmatched, axis=-1), matches)
    precisions = ratio(100.0 * smoothed, totals)
    exists = totals > 0
    # Fewer n-grams of a higher order exist, so the missing orders are the last ones.
    logs = np.log(np.where(exists, precisions, 1.0)).sum(axis=-1)
    orders = np.maximum(exists.sum(axis=-1), 1) if effective_order else _ORDERS
    length_ratio = ratio(reference_length, answer_length)
    brevity = np.exp(np.minimum(0.0, 1.0 - np.nan_to_num(length_ratio, nan=1.0)))
    # No match of any order is 0 (not a product of smoothed precisions), and so is an order that
    # has no n-grams, unless only the orders that exist are asked for.
    scorable = ~unmatched.all(axis=-1) & (effective_order | exists.all(axis=-1))
    return np.where(scorable, brevity * np.exp(logs / orders), 0.0)
