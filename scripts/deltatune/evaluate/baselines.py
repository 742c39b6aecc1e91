"""A classical baseline on the same splits."""

from __future__ import annotations

import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from statsmodels.stats.proportion import proportion_confint


def tfidf_logistic_regression(
    train: pd.DataFrame, test: pd.DataFrame, confidence: float = 0.95
) -> dict[str, float | str | int]:
    """Accuracy with its Wilson interval, and macro F1, of TF-IDF (words and pairs of words) with
    multinomial logistic regression. train, test: frames with text and label; test has rows.

    Where no training text has a word of two letters, or all have one label, there is nothing to
    fit, and the most frequent label stands in, which the title says."""
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, max_iter=2000, random_state=0),
    )
    title = "TF-IDF + logistic regression"
    if not train["text"].str.contains(r"\w\w", regex=True).any() or train["label"].nunique() < 2:
        model, title = DummyClassifier(strategy="most_frequent"), "Most frequent label"
    predicted = model.fit(train["text"], train["label"]).predict(test["text"])
    correct = int(accuracy_score(test["label"], predicted, normalize=False))
    low, high = proportion_confint(correct, len(test), alpha=1 - confidence, method="wilson")
    return {
        "title": title,
        "n": len(test),
        "accuracy": correct / len(test),
        "ci_low": float(low),
        "ci_high": float(high),
        "macro_f1": float(f1_score(test["label"], predicted, average="macro", zero_division=0)),
    }
