"""Records of one group are one cluster, from the split to the scores."""

import pandas as pd
import pytest
from deltatune.compare import statistics
from deltatune.data.prepare import prepare
from deltatune.evaluate.scores import compute_metrics
from deltatune.metrics.settings import MetricsSettings
from deltatune.tasks import base
from deltatune.tasks.registry import load_kind
from stage_settings import split_settings, token_settings

FIELDS = {
    "classify": {"labels": ["a", "b"], "prompt": "{text}:"},
    "instruct": {"prompt": "plain"},
}
METRICS = {
    "classify": MetricsSettings(outputs="labels", metrics=["accuracy"]),
    "instruct": MetricsSettings(outputs="answers", metrics=["exact_match"]),
}


def outputs_of(name: str, group: str | None, max_examples: int | None) -> pd.DataFrame:
    """What a system that is always right puts out, and the author of each example."""
    kind = load_kind(name)
    rows = range(1, 121)
    records = pd.DataFrame({"row": rows})
    records["text"] = records["instruction"] = [f"question {i} of {i * 7919 % 1009}" for i in rows]
    records["label"] = records["output"] = [["a", "b"][i % 2] for i in rows]
    records["author"] = [f"author {i % 20}" if i % 20 else None for i in rows]
    split = {"group": group, "near_duplicates": None, "method": "random", "test": 0.4}
    test = prepare(records, kind, split_settings(name, split=split, **FIELDS[name]))[0].test
    prompts = token_settings(name, **FIELDS[name]).prompts
    questions = kind.questions(test, prompts, kind.Questions(max_examples=max_examples))
    right = {"classify": {"predicted": "label"}, "instruct": {"answer": "reference"}}[name]
    outputs = questions.assign(**{new: questions[old] for new, old in right.items()})
    return outputs.assign(author=records.set_index("row").loc[outputs["id"], "author"].to_numpy())


@pytest.mark.parametrize("max_examples", [None, 20])
@pytest.mark.parametrize("name", ["classify", "instruct"])
def test_records_of_a_group_are_one_cluster(name, max_examples):
    outputs = outputs_of(name, "author", max_examples)
    scores, _ = compute_metrics(outputs, METRICS[name])
    assert set(scores["cluster_unit"]) == {"groups"}
    authors = outputs["author"].fillna("no one " + outputs["id"].astype(str))
    assert scores["cluster"].nunique() == authors.nunique() < len(scores)
    assert scores.groupby(authors)["cluster"].nunique().eq(1).all()


@pytest.mark.parametrize("name", ["classify", "instruct"])
def test_without_groups_each_example_is_its_own_cluster(name):
    outputs = outputs_of(name, None, None)
    scores, _ = compute_metrics(outputs, METRICS[name])
    assert set(scores["cluster_unit"]) == {"examples"}
    assert scores["cluster"].is_unique


def test_few_clusters_are_named_when_the_split_is_made():
    """Before anything is trained: what a comparison then asks for."""
    assert base.FEW_CLUSTERS == statistics.MIN_TESTED
    assert base.few_clusters(5, "chapters", "tasks.story") is None
    assert base.few_clusters(4, "chapters", "tasks.story") == (
        "tasks.story: independent chapters in the test split: 4. Fewer than 5 give no p-value; "
        "raise tasks.story.split.test, or give more data"
    )
