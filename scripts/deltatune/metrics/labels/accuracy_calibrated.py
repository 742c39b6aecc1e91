"""Accuracy of the predictions after contextual calibration, from 0 to 1."""

import numpy as np
import pandas as pd

from deltatune.metrics.base import LABELS, MeanMetric, texts

_INPUTS = LABELS | {"predictions": ("predicted_calibrated", "string")}


class AccuracyCalibrated(MeanMetric):
    """The share of right labels once the model's bias towards some labels is taken out.

    Contextual calibration (Zhao et al. 2021, "Calibrate Before Use") divides the probability of
    each label by its probability after an empty text. An uncalibrated base exaggerates the gain of
    tuning, so this stands beside plain accuracy.
    """

    title = "Accuracy (calibrated)"
    higher_is_better = True
    bounds = (0.0, 1.0)
    inputs = _INPUTS

    def scores(self, outputs: pd.DataFrame) -> np.ndarray:
        """Give 1 or 0 for each example."""
        pairs = zip(texts(outputs, "predicted_calibrated"), texts(outputs, "label"), strict=True)
        return np.array([predicted == label for predicted, label in pairs], np.float64)

    def signature(self) -> str:
        """Say which prediction is scored."""
        return "prediction:most likely label after contextual calibration|agg:mean"
