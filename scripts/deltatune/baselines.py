"""What a classical method does on the same splits."""

from __future__ import annotations

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline

from deltatune.statistics import wilson


def tfidf_logistic_regression(
    train: pd.DataFrame, test: pd.DataFrame, confidence: float = 0.95
) -> dict[str, float | str | int]:
    """Accuracy with its Wilson interval, and macro F1, of TF-IDF (words and pairs of words) with
    multinomial logistic regression. train, test: frames with text and label."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, max_iter=2000, random_state=0),
    )
    predicted = model.fit(train["text"], train["label"]).predict(test["text"])
    correct = int(accuracy_score(test["label"], predicted, normalize=False))
    low, high = wilson(correct, len(test), confidence)
    return {
        "title": "TF-IDF + logistic regression",
        "n": len(test),
        "accuracy": correct / len(test),
        "ci_low": low,
        "ci_high": high,
        "macro_f1": float(f1_score(test["label"], predicted, average="macro", zero_division=0)),
    }
