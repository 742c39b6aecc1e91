import pandas as pd
import pytest
from deltatune.evaluate.baselines import tfidf_logistic_regression


def frame(texts, labels):
    return pd.DataFrame({"text": texts, "label": labels})


def test_words_tell_the_classes_apart():
    train = frame(["red apple", "red cherry", "blue sea", "blue sky"] * 3, ["r", "r", "b", "b"] * 3)
    found = tfidf_logistic_regression(train, frame(["red plum", "blue bird"], ["r", "b"]))
    assert found["accuracy"] == 1 and found["title"] == "TF-IDF + logistic regression"


@pytest.mark.parametrize(
    "train",
    [
        frame(["?", "!!", "a", "🎉", ""], ["r", "r", "r", "b", "b"]),
        frame(["red apple", "blue sky"], ["r", "r"]),
    ],
    ids=["no words", "one label"],
)
def test_the_most_frequent_label_stands_in_where_nothing_can_be_fitted(train):
    found = tfidf_logistic_regression(train, frame(["red", "b"], ["r", "b"]))
    assert found["title"] == "Most frequent label"
    assert found["accuracy"] == 0.5
