"""ROUGE-L F1 of each answer, and the mean, from 0 to 1."""

import re
from importlib.metadata import version

import numpy as np
import pandas as pd
from rouge_score.rouge_scorer import RougeScorer

from deltatune.metrics.base import ANSWERS, MeanMetric, texts

_STEMMER = False
"""The default of rouge_score and of evaluate's "rouge", so that figures compare with theirs."""


class RougeL(MeanMetric):
    """ROUGE-L F1 (Lin 2004): overlap by the longest common subsequence of words, then the mean."""

    title = "ROUGE-L F1"
    higher_is_better = True
    inputs = ANSWERS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give ROUGE-L F1 of each answer, 0 to 1; 0 where answer or reference has no word."""
        scorer = RougeScorer(["rougeL"], use_stemmer=_STEMMER)
        pairs = zip(texts(outputs, "reference"), texts(outputs, "answer"), strict=True)
        return np.array([scorer.score(*pair)["rougeL"].fmeasure for pair in pairs], np.float64)

    def signature(self) -> str:
        """Say the stemmer, the tokens and the version."""
        stemmer = "porter" if _STEMMER else "no"
        return (
            f"nrefs:1|stemmer:{stemmer}|tok:lower-case a-z0-9|agg:mean"
            f"|version:rouge_score-{version('rouge-score')}"
        )

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Count the references in which rouge_score sees no word: they can only score 0."""
        references = texts(outputs, "reference")
        blind = sum(not re.search("[a-z0-9]", reference.lower()) for reference in references)
        if not blind:
            return []
        return [
            f"{blind} of {len(outputs)} references hold no Latin letter or digit, all that "
            f"ROUGE-L's tokens are made of: their answers score 0"
        ]
