"""ROUGE-L F1 of each answer, and the mean, from 0 to 1."""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
import pandas as pd
from rouge_score.scoring import fmeasure

from deltatune.metrics.base import ANSWERS, MeanMetric, texts
from deltatune.metrics.words import dropped, unspaced, words


class RougeL(MeanMetric):
    """ROUGE-L F1 (Lin 2004): overlap by the longest common subsequence of words, then the mean.

    Words are letters and digits of any script, Han and Kana by the character. Of ASCII text the
    figures are those of rouge_score, and of evaluate's "rouge", without a stemmer, their default.
    """

    title = "ROUGE-L F1"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give ROUGE-L F1 of each answer, 0 to 1; 0 where answer or reference has no word."""
        pairs = zip(texts(outputs, "answer"), texts(outputs, "reference"), strict=True)
        return np.array([_f1(words(answer), words(reference)) for answer, reference in pairs])

    def signature(self) -> str:
        """Say the stemmer, the tokens and the version."""
        return (
            "nrefs:1|stemmer:no|tok:NFKC casefold, letters and digits of any script, CJK by "
            f"character|agg:mean|version:rouge_score-{version('rouge-score')}"
        )

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Count the references without a word: they can only score 0. Say what is dropped."""
        references = texts(outputs, "reference")
        blind = sum(not words(reference) for reference in references)
        lines = [*dropped(references, "ROUGE-L"), *unspaced(references, "ROUGE-L")]
        if blind:
            lines.append(
                f"{blind} of {len(outputs)} references hold no letter or digit, all that ROUGE-L's "
                f"tokens are made of: their answers score 0"
            )
        return lines


def common_length(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence.

    A row of the table of lengths is the bits of one integer, where a zero is a step up: Crochemore
    et al. 2001, "A fast and practical bit-vector algorithm for the longest common subsequence
    problem". 3,000 words against 3,000: 2 ms instead of 1.5 s.
    """
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(one)) - 1
    row = full
    for word in other:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(one) - row.bit_count()


def _f1(answer: list[str], reference: list[str]) -> float:
    if not answer or not reference:
        return 0.0
    length = common_length(reference, answer)
    return float(fmeasure(length / len(answer), length / len(reference)))
