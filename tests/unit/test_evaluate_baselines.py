"""Plain baselines: what they answer, on which records, and that they are judged like a model."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from deltatune.compare import fact, family, paired
from deltatune.compare.settings import ComparisonSettings, Inference
from deltatune.core.schema import Section
from deltatune.evaluate import scores
from deltatune.evaluate.baselines import answers, labels, run
from deltatune.evaluate.baselines.registry import BASELINES
from deltatune.evaluate.baselines.settings import FitSettings
from deltatune.metrics.settings import MetricsSettings
from deltatune.tasks import base
from deltatune.tasks.registry import load_kind
from sklearn.metrics import accuracy_score

INSTRUCT, CLASSIFY = load_kind("instruct"), load_kind("classify")
ACCURACY = MetricsSettings(outputs="labels", metrics=["accuracy"])
MATCH = MetricsSettings(outputs="answers", metrics=["exact_match_raw"])
NAMES = ["r", "b"]
LABELS = {"kind": "classify", "prompts": {"prompt": "{text}"}}
ANSWERS = {"kind": "instruct", "prompts": {"prompt": "plain"}}


def limited(
    task: dict, metrics: MetricsSettings, max_examples: int | None = None
) -> FitSettings[Section, Section]:
    kind = load_kind(task["kind"])
    questions = {"max_examples": max_examples}
    return FitSettings[kind.Prompts, kind.Questions](**task, metrics=metrics, questions=questions)


def with_classes(task: FitSettings) -> FitSettings:
    return base.labeled(CLASSIFY, task, NAMES)


def labeled(texts, names) -> pd.DataFrame:
    return pd.DataFrame({"id": range(10, 10 + len(texts)), "text": texts, "label": names})


def asked(*records: tuple[str, str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(records, columns=["instruction", "input", "output"])
    return frame.assign(id=range(10, 10 + len(frame)))


def by(name: str, train: pd.DataFrame, test: pd.DataFrame) -> list[str]:
    outputs, kind = ("answers", INSTRUCT) if "output" in train else ("labels", CLASSIFY)
    return list(BASELINES[outputs][name].predict(train, test, kind))


# ---------------------------------------------------------------- labels


def test_words_tell_the_classes_apart():
    train = labeled(
        ["red apple", "red cherry", "blue sea", "blue sky"] * 3, ["r", "r", "b", "b"] * 3
    )
    assert by("tfidf", train, labeled(["red plum", "blue bird"], ["r", "b"])) == ["r", "b"]


def test_words_of_any_script_tell_the_classes_apart():
    """Written without spaces, a Chinese title is one token to scikit-learn's own pattern, and no
    test title was seen before."""
    train = labeled(["红苹果", "红樱桃", "蓝大海", "蓝天空"] * 3, ["r", "r", "b", "b"] * 3)
    assert by("tfidf", train, labeled(["红李子", "蓝小鸟"], ["r", "b"])) == ["r", "b"]


@pytest.mark.parametrize(
    "train",
    [
        labeled(["?", "!!", "", "🎉", " "], ["b", "r", "r", "r", "b"]),
        labeled(["red apple", "blue sky"], ["r", "r"]),
    ],
    ids=["no words", "one label"],
)
def test_the_most_frequent_label_stands_in_where_nothing_can_be_fitted(train):
    test = labeled(["red", ""], ["r", "b"])
    assert by("tfidf", train, test) == by("most_frequent_label", train, test) == ["r", "r"]


def test_of_equally_frequent_values_the_first_one_is_taken():
    train = labeled(["x"] * 4, ["z", "a", "a", "z"])
    assert by("most_frequent_label", train, train) == ["z"] * 4
    train = asked(("x", "", "z"), ("x", "", "a"), ("x", "", "b"))
    assert by("most_frequent_output", train, train) == ["z"] * 3


# ---------------------------------------------------------------- answers


def test_the_input_is_copied_or_without_one_the_instruction():
    test = asked(("Fix it.", "a bug", "fixed"), ("Say hello.", " ", "hello"), ("", "", ""))
    assert by("copied_input", test, test) == ["a bug", "Say hello.", ""]


def test_the_nearest_example_is_that_of_the_largest_cosine():
    rng = np.random.default_rng(0)
    vocabulary = [f"w{i}" for i in range(30)]

    def records(count: int) -> pd.DataFrame:
        texts = [" ".join(rng.choice(vocabulary, 6)) for _ in range(2 * count)]
        return asked(*((texts[2 * i], texts[2 * i + 1], f"out {i}") for i in range(count)))

    train, test = records(40), records(25)
    expected = [train["output"][i] for i in nearest_by_hand(train, test)]
    assert by("nearest_example", train, test) == expected
    assert len(set(expected)) > 5


def nearest_by_hand(train: pd.DataFrame, test: pd.DataFrame) -> list[int]:
    """Cosines of (1 + ln tf) (1 + ln((1 + n) / (1 + df))), as in scikit-learn's user guide."""

    def bags(frame):
        return [(row.instruction + " " + row.input).split() for row in frame.itertuples()]

    known = bags(train)
    df = {w: sum(w in bag for bag in known) for bag in known for w in bag}

    def vector(bag):
        weights = {
            w: (1 + np.log(bag.count(w))) * (1 + np.log((1 + len(known)) / (1 + df[w])))
            for w in set(bag)
            if w in df
        }
        norm = np.sqrt(sum(x * x for x in weights.values()))
        return {w: x / norm for w, x in weights.items()}

    vectors = [vector(bag) for bag in known]
    nearest = []
    for bag in bags(test):
        of_test = vector(bag)
        cosines = [sum(x * one.get(w, 0) for w, x in of_test.items()) for one in vectors]
        nearest.append(int(np.argmax(np.round(cosines, 9))))
    return nearest


def test_equally_near_examples_give_the_output_of_the_first_in_any_batch(monkeypatch):
    train = asked(("red", "plum", "one"), ("blue", "sky", "two"), ("sky", "blue", "three"))
    test = asked(
        ("blue sky", "", ""), ("red", "plum", ""), ("nothing shared", "", ""), ("?", "", "")
    )
    expected = ["two", "one", "one", "one"]
    assert by("nearest_example", train, test) == expected
    monkeypatch.setattr(answers, "_CELLS", 1)
    assert by("nearest_example", train, test) == expected


@pytest.mark.parametrize("prompt", ["", "?", "🎉 !"])
def test_training_prompts_without_a_word_are_no_error(prompt):
    train = asked((prompt, "", "one"), (prompt, "", "two"))
    assert by("nearest_example", train, asked(("red", "", ""))) == ["one"]


# ---------------------------------------------------------------- as systems


@pytest.mark.parametrize("max_examples", [None, 5])
def test_a_baseline_answers_exactly_the_records_that_models_are_asked(max_examples):
    """On the parent it was fitted on all test records, whatever max_examples."""
    test = labeled([f"text {i}" for i in range(10)], ["r", "b"] * 5)
    task = with_classes(limited(LABELS, ACCURACY, max_examples))
    questions = CLASSIFY.questions(test, task.prompts, task.questions)
    for baseline in labels.BASELINES.values():
        outputs = run.outputs(baseline, test, test, CLASSIFY, task)
        assert outputs["id"].tolist() == questions["id"].tolist()
        assert outputs["label"].tolist() == questions["label"].tolist()
        assert len(outputs) == (max_examples or 10)
        assert outputs["predicted"].equals(outputs["predicted_calibrated"].rename("predicted"))
    test = asked(*((f"text {i}", "", f"out {i}") for i in range(10)))
    task = limited(ANSWERS, MATCH, max_examples)
    outputs = run.outputs(answers.BASELINES["nearest_example"], test, test, INSTRUCT, task)
    questions = INSTRUCT.questions(test, task.prompts, task.questions)
    assert outputs["id"].tolist() == questions["id"].tolist()
    # Asked what it was trained on, it gives back the reference of the same record.
    assert outputs["answer"].tolist() == outputs["reference"].tolist()


def files(folder, names, kind: str) -> SimpleNamespace:
    paths = {"outputs": f"{kind}.parquet", "manifests": f"{kind}.json", "scores": "scores.parquet"}
    paths |= {"metrics": "metrics.json", "tables": "metrics.csv"}
    for name in names:
        (folder / name).mkdir()
    return SimpleNamespace(
        **{key: [folder / name / file for name in names] for key, file in paths.items()}
    )


def write(folder, baselines, train, test, task) -> None:
    inputs = SimpleNamespace(train=folder / "train.parquet", records=folder / "test.parquet")
    train.to_parquet(inputs.train)
    test.to_parquet(inputs.records)
    kind = load_kind(task.kind).OUTPUTS
    run.write(baselines, inputs, files(folder, baselines, kind), task, "test", NAMES)


def test_labels_are_scored_by_the_metrics_of_the_task(tmp_path):
    train = labeled(
        ["red apple", "red plum", "red", "blue sea", "blue sky"], ["r", "r", "r", "b", "b"]
    )
    test = labeled(["red car", "blue car", "car", "blue", "?"], ["r", "b", "b", "r", "b"])
    three = ["accuracy", "macro_f1", "accuracy_calibrated"]
    task = limited(LABELS, ACCURACY.model_copy(update={"metrics": three}), 5)
    write(tmp_path, labels.BASELINES, train, test, task)
    for name in labels.BASELINES:
        outputs = pd.read_parquet(tmp_path / name / "labels.parquet")
        record = json.loads((tmp_path / name / "metrics.json").read_text())
        expected = accuracy_score(outputs["label"], outputs["predicted"])
        assert record["metrics"]["accuracy"]["value"] == pytest.approx(expected)
        assert record["metrics"]["accuracy"]["n"] == 5
        assert "behavior" not in record
        per_example = pd.read_parquet(tmp_path / name / "scores.parquet")
        assert per_example["id"].tolist() == outputs["id"].tolist()
        manifest = json.loads((tmp_path / name / "labels.json").read_text())
        assert manifest["examples"] == 5 and manifest["title"] == labels.BASELINES[name].title


def test_hostile_answers_are_scored_and_their_behavior_stands_beside(tmp_path):
    train = asked(("Say <b>", "", " "), ("?", "", "\n"), ("x", "", "ok"), ("y", "", "ok"))
    test = asked(("🎉", "", ""), ("Say", "", "ok"), ("Copy.", "ok", "ok"))
    write(tmp_path, answers.BASELINES, train, test, limited(ANSWERS, MATCH))
    for name in answers.BASELINES:
        record = json.loads((tmp_path / name / "metrics.json").read_text())
        assert record["behavior"]["answers"] == 3
        manifest = json.loads((tmp_path / name / "answers.json").read_text())
        assert (manifest["examples"], manifest["unfinished"]) == (3, 0)
        assert manifest["empty"] == round(3 * record["behavior"]["empty_share"])
    common = pd.read_parquet(tmp_path / "most_frequent_output" / "answers.parquet")
    assert common["answer"].tolist() == ["ok"] * 3
    copied = json.loads((tmp_path / "copied_input" / "metrics.json").read_text())
    assert copied["metrics"]["exact_match_raw"]["value"] == pytest.approx(1 / 3)


def test_a_baseline_that_is_better_than_tuned_is_a_row_with_a_p(tmp_path):
    """Three seeds that guess, against TF-IDF, paired on the 60 records that max_examples leaves."""
    rng = np.random.default_rng(1)
    texts = [f"{color} {word}" for color in ("red", "blue") for word in "abcdefghijklmnopqrst"] * 2
    train = labeled(texts, [text[0] for text in texts])
    test = train.sample(frac=1, random_state=0)
    task = limited(LABELS, ACCURACY, 60)
    write(tmp_path, labels.BASELINES, train, test, task)
    asked_of_models = CLASSIFY.questions(test, with_classes(task).prompts, task.questions)
    tuned = [
        scores.compute_metrics(
            asked_of_models.assign(predicted=rng.choice(["r", "b"], 60)), ACCURACY
        )[0].reset_index(drop=True)
        for _ in range(3)
    ]
    settings = ComparisonSettings(
        **{"experiment": "e", "task": "t", "model": "m", "unit": "examples", "seeds": [1, 2, 3]},
        **{"metrics": ACCURACY, "main_metric": "accuracy", "family": 1},
        statistics=Inference(resamples=999),
    )
    rows = [
        paired.compare(
            pd.read_parquet(tmp_path / name / "scores.parquet"), tuned, settings, against=name
        )
        for name in labels.BASELINES
    ]
    better, chance = fact.from_frame(family.independent(rows, 0.95))
    assert (better.against, chance.against) == ("tfidf", "most_frequent_label")
    assert better.n == chance.n == 60 and better.main and better.seeds == 3
    expected = np.mean([frame["accuracy"].mean() for frame in tuned])
    assert better.base == 1 and better.tuned == pytest.approx(expected)
    assert (
        better.delta < 0
        and better.ci_high < 0
        and better.p_value < 0.05
        and better.adapters_p < 0.01
    )
    assert better.p_holm is None and better.family == 0 and better.alpha == pytest.approx(0.05)
    assert chance.p_value > 0.05
