"""Perplexity per word, which does not depend on the tokenizer."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import Metric, numbers, ratio, texts
from deltatune.metrics.words import unspaced_text

_INPUTS = {"nll": ("nll", "float64"), "words": ("words", "int64")}


class WordPerplexity(Metric):
    """exp(sum of negative log-likelihoods in nats / number of words in the scored text).

    Words are separated by white space, so the figure compares across tokenizers.
    """

    title = "Word perplexity"
    higher_is_better = False
    inputs = _INPUTS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [windows, 2]: nats and words."""
        return numbers(outputs, "nll", "words")

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give exp(nats / words); infinite where that overflows."""
        with np.errstate(over="ignore"):
            return np.exp(ratio(totals[..., 0], totals[..., 1]))

    def caveats(self, outputs: pd.DataFrame) -> list[str]:
        """Say where words cannot be told apart, where the outputs have the text."""
        return unspaced_text(texts(outputs, "text")) if "text" in outputs else []

    def signature(self) -> str:
        """Say the unit."""
        return "unit:word (white space)|exp(sum nll / sum words)"
