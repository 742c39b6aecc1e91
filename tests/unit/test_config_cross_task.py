"""Which experiments are evaluated on the tasks of the others."""

from __future__ import annotations

import copy

import pytest
from conftest import ROOT
from deltatune.config.cross_task import left_out, notice, pairs
from deltatune.config.load import load_settings
from deltatune.core.errors import UserError

QLORA = ["instructions-qlora", "prose-qlora", "news-qlora"]


@pytest.fixture
def config(default_config):
    config = copy.deepcopy(default_config)
    config["experiments"] = {n: copy.deepcopy(e) for n, e in config["experiments"].items()}
    return config


def load(config):
    return load_settings(config, ROOT)


def names(config) -> set[tuple[str, str]]:
    return set(pairs(load(config)))


def with_experiments(config, count: int):
    """So many experiments, in turn on the three tasks."""
    chosen = list(config["experiments"].values())
    config["experiments"] = {f"e{i}": copy.deepcopy(chosen[i % 3]) for i in range(count)}
    return config


def test_each_experiment_of_the_default_is_evaluated_on_the_tasks_of_the_others(config):
    assert pairs(load(config)) == [
        (f"{own}-qlora", other)
        for own in ("instructions", "prose", "news")
        for other in ("instructions", "prose", "news")
        if own != other
    ]
    assert notice(load(config)) is None


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [("auto", 6, 12), ("auto", 7, 0), ("all", 7, 14), ("none", 3, 0), ("all", 1, 0)],
)
def test_the_key_at_the_top_decides(config, mode, count, expected):
    config["cross_task"] = mode
    assert len(names(with_experiments(config, count))) == expected


def test_beyond_six_experiments_it_is_said_that_none_is(config):
    seven = load(with_experiments(config, 7))
    assert notice(seven) == (
        "cross_task: the run has 7 experiments, more than 6, so none is evaluated on the tasks "
        "of the others; `cross_task: all` asks for it."
    )


@pytest.mark.parametrize(
    "change",
    [
        {"cross_task": "none"},
        {"run": ["e0"]},
        {"experiments": {f"e{i}": {"model": "tiny-mistral", "task": "news"} for i in range(7)}},
    ],
)
def test_nothing_is_said_where_nothing_was_to_be_expected(config, change):
    assert notice(load({**with_experiments(config, 7), **change})) is None


def test_a_list_of_an_experiment_decides_over_the_top(config):
    config["experiments"]["news-qlora"]["cross_task"] = []
    config["experiments"]["prose-qlora"]["cross_task"] = ["news"]
    assert names(config) == {
        ("instructions-qlora", "prose"),
        ("instructions-qlora", "news"),
        ("prose-qlora", "news"),
    }
    config["cross_task"] = "none"
    assert names(config) == {("prose-qlora", "news")}


def test_the_tasks_are_those_of_the_run(config):
    config["run"] = ["news-qlora", "prose-qlora"]
    assert names(config) == {("news-qlora", "prose"), ("prose-qlora", "news")}


# ---------------------------------------------------------------- pairs that are not fair


def two_models(config):
    """Another model, built from the news alone and shorter than the prose."""
    config["models"]["short"] = {
        **config["models"]["tiny-mistral"],
        "corpus": ["news"],
        "architecture": {"context": 256},
    }
    config["tasks"]["prose"]["max_length"] = 512
    config["experiments"]["news-qlora"]["model"] = "short"
    return config


def same_text_in_two_splits(config):
    """Two tasks on one text: the training text of one has test text of the other."""
    config["tasks"]["shuffled"] = {
        **config["tasks"]["prose"],
        "split": {"method": "random", "seed": 1},
    }
    config["models"]["tiny-mistral"]["corpus"] = ["instructions", "news"]
    config["experiments"]["shuffled-qlora"] = {
        **config["experiments"]["prose-qlora"],
        "task": "shuffled",
    }
    return config


def a_model_that_has_read_the_test(config):
    config["tasks"]["shuffled"] = {
        **config["tasks"]["prose"],
        "split": {"method": "random", "seed": 1},
    }
    config["models"]["other"] = {**config["models"]["tiny-mistral"], "corpus": ["news"]}
    config["experiments"]["prose-qlora"] |= {"model": "other", "task": "shuffled"}
    return config


def a_task_with_a_chat(config):
    config["tasks"]["instructions"]["chat"] = {"system": "Be brief."}
    config["models"]["instruct"] = {"source": "hub", "id": "some/instruct", "revision": "v1"}
    config["experiments"]["instructions-qlora"]["model"] = "instruct"
    return config


UNFAIR = {
    two_models: ({("news-qlora", "prose")}, "512 is more than the context of models.short (256)"),
    same_text_in_two_splits: (
        {("prose-qlora", "shuffled"), ("shuffled-qlora", "prose")},
        "it may be tuned on test records of 'shuffled'",
    ),
    a_model_that_has_read_the_test: (
        {("instructions-qlora", "shuffled"), ("news-qlora", "shuffled")},
        "so it may have read test records of 'shuffled'",
    ),
    a_task_with_a_chat: (
        {("prose-qlora", "instructions"), ("news-qlora", "instructions")},
        "'instructions' is asked in a chat template, and whether models.tiny-mistral has one is",
    ),
}


@pytest.mark.parametrize("change", UNFAIR)
def test_a_pair_that_is_not_fair_is_left_out_and_named(config, change):
    expected, reason = UNFAIR[change]
    settings = load(change(config))
    assert set(left_out(settings)) == expected
    assert not expected & set(pairs(settings))
    tasks = {e.task for e in settings.chosen.values()}
    others = {(name, t) for name, e in settings.chosen.items() for t in tasks - {e.task}}
    assert set(pairs(settings)) == others - expected
    line = notice(settings)
    assert "\n" not in line and reason in line
    assert all(f"{name} on {task} (" in line for name, task in expected)


@pytest.mark.parametrize("change", [c for c in UNFAIR if c is not a_task_with_a_chat])
def test_the_same_pair_is_refused_where_it_is_named(config, change):
    expected, reason = UNFAIR[change]
    name, task = sorted(expected)[0]
    changed = change(config)
    changed["experiments"][name] = {**changed["experiments"][name], "cross_task": [task]}
    with pytest.raises(UserError) as caught:
        load(changed)
    assert reason in str(caught.value)


def test_a_chat_that_the_model_is_known_to_take_is_no_reason(config):
    changed = a_task_with_a_chat(config)
    changed["experiments"]["prose-qlora"]["model"] = "instruct"
    assert ("prose-qlora", "instructions") in names(changed)
    assert set(left_out(load(changed))) == {("news-qlora", "instructions")}
