"""How a system answers: length, endings, repetition."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from deltatune.evaluate import behavior, scores
from deltatune.metrics.settings import MetricsSettings
from deltatune.report import collect
from deltatune.report.figures import lengths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # By hand: 4-grams abcd bcda cdab dabc abcd, five of which four are different.
        ("a b c d a b c d", 1 / 5),
        # aaaa four times, one different.
        ("a a a a a a a", 3 / 4),
        ("a b c d e f", 0),
        ("a a a", 0),
        ("", 0),
    ],
)
def test_repetition_is_one_minus_unique_over_all(text, expected):
    assert behavior.repeated_ngrams(text.split()) == pytest.approx(expected)


def answers(texts: list[str], **columns) -> pd.DataFrame:
    ids = range(5, 5 + len(texts))
    return pd.DataFrame(
        {"id": ids, "answer": texts, "reference": "one two three four five", **columns}
    )


def test_the_figures_of_a_set_by_hand():
    outputs = answers(
        ["a b c d a b c d", "Yes.", "yes", " ", "I am, I am, I am, I am"],
        answer_tokens=[9, 2, 1, 0, 13],
        finished=[True, True, True, True, False],
    )
    assert behavior.summary(outputs) == {
        "answers": 5,
        "words_median": 1,
        "words_mean": (8 + 1 + 1 + 0 + 8) / 5,
        "reference_words_median": 5,
        "tokens_mean": 25 / 5,
        "truncated_share": 1 / 5,
        "empty_share": 1 / 5,
        # i am i am | am i am i | ... : five 4-grams, two different.
        "repeated_4grams": pytest.approx((1 / 5 + 3 / 5) / 5),
        "distinct_share": 1,
    }
    assert behavior.per_example(outputs)["truncated"].tolist() == [False] * 4 + [True]


@pytest.mark.parametrize(
    ("answer", "length"),
    [
        ("แมวนั่งบนเสื่อ", 10),  # without the marks above and below
        ("แมว นั่ง cat 12", 7),
        ("我们今天去学校", 7),
        ("“Curly quotes” and naïve café", 5),
    ],
)
def test_an_answer_without_spaces_is_no_single_word(answer, length):
    assert behavior.summary(answers([answer]))["words_median"] == length


def test_a_model_that_answers_with_one_word_is_seen(tmp_path):
    """BLEU on Alpaca fell from 6.0 to 0.02 because the answers had become one word."""
    reference = "one two three four five"
    settings = MetricsSettings(outputs="answers", metrics=["exact_match_raw"])
    figures = {}
    for system, texts in {
        "base": [reference, "one two six four five"],
        "tuned": ["Tech", "Tech"],
    }.items():
        paths = {k: tmp_path / f"{system}.{k}" for k in ("scores", "metrics", "table")}
        outputs = answers(texts, finished=True, answer_tokens=3)
        scores.write(outputs, settings, [], "test", **paths)
        record = json.loads(paths["metrics"].read_text())
        figures[system] = record["behavior"]
        assert set(record["metrics"]) == {"exact_match_raw"}
        frame = pd.read_parquet(paths["scores"])
        assert frame["id"].tolist() == [5, 6]
        assert frame["answer_words"].tolist() == [len(text.split()) for text in texts]
    assert figures["base"]["words_median"] == figures["base"]["reference_words_median"] == 5
    assert figures["tuned"]["words_median"] == 1 and figures["tuned"]["distinct_share"] == 0.5
    files = {"base": tmp_path / "base.scores", "tuned": [tmp_path / "tuned.scores"]}
    one = {"outputs": "answers", "files": {"scores": files}, "seeds": [7]}
    words = collect.answer_words({"one": one, "another": {"outputs": "labels"}})["one"]
    assert list(words) == ["reference", "base", "seed 7"]
    assert lengths.medians(words) == {"reference": 5, "base": 5, "tuned": 1}


def test_characters_are_the_words_of_scripts_without_spaces():
    outputs = answers(["我我我我我我我"]).assign(reference="你好")
    summary = behavior.summary(outputs)
    assert (summary["words_median"], summary["reference_words_median"]) == (7, 2)
    assert summary["repeated_4grams"] == pytest.approx(3 / 4)
    # Of a system without a tokenizer, and outputs that say nothing of endings.
    assert summary["tokens_mean"] is None and summary["truncated_share"] is None
