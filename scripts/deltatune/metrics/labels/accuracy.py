"""The share of examples whose most likely label is the right one, from 0 to 1."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import LABELS, MeanMetric, texts


class Accuracy(MeanMetric):
    """The share of examples whose most likely label is the right one."""

    title = "Accuracy"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = LABELS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give 1 or 0 for each example."""
        pairs = zip(texts(outputs, "predicted"), texts(outputs, "label"), strict=True)
        return np.array([predicted == label for predicted, label in pairs], np.float64)

    def signature(self) -> str:
        """Say which prediction is scored."""
        return "prediction:most likely label, uncalibrated|agg:mean"
