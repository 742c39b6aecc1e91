import pandas as pd
import pytest
from deltatune.evaluate.baselines import tfidf_logistic_regression


def frame(texts, labels):
    return pd.DataFrame({"text": texts, "label": labels})


def test_words_tell_the_classes_apart():
    train = frame(["red apple", "red cherry", "blue sea", "blue sky"] * 3, ["r", "r", "b", "b"] * 3)
    result = tfidf_logistic_regression(train, frame(["red plum", "blue bird"], ["r", "b"]))
    assert result["accuracy"] == 1 and result["title"] == "TF-IDF + logistic regression"
    # Wilson 1927: of n right among n, the interval is n / (n + z^2) to 1.
    assert (result["ci_low"], result["ci_high"]) == pytest.approx((2 / (2 + 1.959964**2), 1))


@pytest.mark.parametrize(
    "train",
    [
        frame(["?", "!!", "a", "🎉", ""], ["r", "r", "r", "b", "b"]),
        frame(["red apple", "blue sky"], ["r", "r"]),
    ],
    ids=["no words", "one label"],
)
def test_the_most_frequent_label_stands_in_where_nothing_can_be_fitted(train):
    result = tfidf_logistic_regression(train, frame(["red", "b"], ["r", "b"]))
    assert result["title"] == "Most frequent label"
    assert result["accuracy"] == 0.5
