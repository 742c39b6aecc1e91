"""Plain baselines of tasks with labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltatune.evaluate.baselines.base import Baseline, most_frequent
from deltatune.metrics.words import words

if TYPE_CHECKING:
    import pandas as pd

    from deltatune.tasks.base import TaskKind


def tfidf(train: pd.DataFrame, test: pd.DataFrame, kind: TaskKind) -> list[str]:
    """TF-IDF of words of any script and of pairs of them, with multinomial logistic regression.

    Where no training text has a word, or all have one label, there is nothing to fit, and the most
    frequent label stands in.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if train["label"].nunique() < 2 or not any(map(words, train["text"])):
        print("nothing can be fitted: no training text has a word, or all have the same label")
        return most_frequent_label(train, test, kind)
    model = make_pipeline(
        TfidfVectorizer(
            tokenizer=words,
            token_pattern=None,
            lowercase=False,
            ngram_range=(1, 2),
            sublinear_tf=True,
        ),
        LogisticRegression(C=10.0, max_iter=2000, random_state=0),
    )
    return model.fit(train["text"], train["label"]).predict(test["text"]).tolist()


def most_frequent_label(train: pd.DataFrame, test: pd.DataFrame, kind: TaskKind) -> list[str]:
    """The label that most training records have, the first of those that are equally frequent."""
    return [most_frequent(train["label"])] * len(test)


BASELINES = {
    "tfidf": Baseline("TF-IDF", tfidf),
    "most_frequent_label": Baseline("Most frequent label", most_frequent_label),
}
