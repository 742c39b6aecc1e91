"""The mean of the perplexities of windows, as many notebooks report it."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import MeanMetric, numbers, ratio

_INPUTS = {"nll": ("nll", "float64"), "tokens": ("tokens", "int64")}


class MeanPerplexity(MeanMetric):
    """The mean over windows of exp(negative log-likelihood in nats / number of scored tokens).

    Where no text is longer than a window it is the mean over texts. A short window counts as much
    as a long one, and an unlikely one more than in the perplexity of all tokens.
    """

    title = "Mean perplexity of windows"
    higher_is_better = False
    inputs = _INPUTS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give exp(nats / tokens) of each window; infinite where that overflows."""
        nll, tokens = numbers(outputs, "nll", "tokens").T
        with np.errstate(over="ignore"):
            return np.exp(ratio(nll, tokens))

    def signature(self) -> str:
        """Say the unit."""
        return "unit:token of the model's tokenizer|mean over windows of exp(nll / tokens)"
