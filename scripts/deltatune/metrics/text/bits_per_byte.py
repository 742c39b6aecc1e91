"""Bits per byte of the original text, which does not depend on the tokenizer."""

import math

import numpy as np
import pandas as pd

from deltatune.metrics.base import Metric, numbers, ratio

_INPUTS = {"nll": ("nll", "float64"), "bytes": ("bytes", "int64")}


class BitsPerByte(Metric):
    """Sum of negative log-likelihoods in bits / number of UTF-8 bytes of the scored text.

    Compares across tokenizers; a compressor built on the model would reach about this size.
    """

    title = "Bits per byte"
    higher_is_better = False
    inputs = _INPUTS

    def statistics(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give [windows, 2]: nats and bytes."""
        return numbers(outputs, "nll", "bytes")

    def aggregate(self, totals: np.ndarray) -> np.ndarray:
        """Give nats / ln 2 / bytes."""
        return ratio(totals[..., 0] / math.log(2), totals[..., 1])

    def signature(self) -> str:
        """Say the unit."""
        return "unit:UTF-8 byte|sum nll / ln 2 / sum bytes"
