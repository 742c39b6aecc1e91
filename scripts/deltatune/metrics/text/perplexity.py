"""Perplexity per token of the model's own tokenizer."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import Metric, numbers, ratio

_INPUTS = {"nll": ("nll", "float64"), "tokens": ("tokens", "int64")}


class Perplexity(Metric):
    """exp(sum of negative log-likelihoods in nats / number of scored tokens).

    Comparable only between models that share a tokenizer, as a base and its tuned systems do.
    """

    title = "Perplexity"
    higher_is_better = False
    inputs = _INPUTS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [windows, 2]: nats and tokens."""
        return numbers(outputs, "nll", "tokens")

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give exp(nats / tokens); infinite where that overflows."""
        with np.errstate(over="ignore"):
            return np.exp(ratio(totals[..., 0], totals[..., 1]))

    def signature(self) -> str:
        """Say the unit."""
        return "unit:token of the model's tokenizer|exp(sum nll / sum tokens)"
