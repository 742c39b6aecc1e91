"""Mixtures in config.yaml: what they cannot be of, and what is read for them."""

import copy
from types import SimpleNamespace

import pytest
from conftest import ROOT
from deltatune.archive import contents
from deltatune.config import datasets
from deltatune.config.load import load_settings
from deltatune.core.errors import UserError
from deltatune.workflow.flow import Flow


@pytest.fixture
def config(default_config):
    """The task `news` reads a mixture, another experiment its part `news`."""
    config = copy.deepcopy(default_config)
    config["datasets"]["more"] = {"source": "hub", "id": "a/b", "revision": "v1"}
    config["datasets"]["both"] = {"source": "mixture", "of": {"news": 0.7, "more": 0.3}}
    config["tasks"]["news"]["dataset"] = "both"
    return config


def refused(config) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_settings(config, ROOT)
    return [line[4:] for line in str(caught.value).splitlines()[1:]]


def test_what_a_mixture_cannot_be_of_is_named(config):
    given = config["datasets"]
    given["all"] = {"source": "mixture", "of": {"news": 1, "more": 1}}
    given["given"] = {**given["more"], "split": {"train": "train", "test": "test"}}
    given["both"]["of"] = {"newz": 1, "both": 1, "all": 1, "given": 1}
    assert refused(config) == [
        "datasets.both.of.all: 'all' is a mixture itself; name its datasets here, with weights of "
        "their own",
        "datasets.both.of.both: a mixture is of other datasets; leave it out",
        "datasets.both.of.given: 'given' names its splits, and a mixture is divided by `split` of "
        "its tasks; make a dataset of the one split that is to be mixed",
        "datasets.both.of.newz: no dataset is called 'newz' (did you mean 'news'?); datasets has "
        "instructions, prose, news, more, all, given",
    ]
    given["book"] = {"source": "url", "url": "https://example.org/book.txt"}
    given["both"]["of"] = {"news": 1, "book": 1}
    assert refused(config) == [
        "datasets.both.of.book: 'book' is a plain text, which has no records to draw from; give "
        "records with a field `text`, such as a csv"
    ]
    given["both"]["of"] = {"news": 1}
    assert "datasets.both.of" in refused(config)[0]
    given["both"] = {"source": "mixture", "of": {"news": 1, "more": 1}, "columns": {"text": "t"}}
    assert "datasets.both.columns" in refused(config)[0]


def test_a_file_that_is_not_there_is_missed_in_a_part_too(config):
    config["datasets"]["more"] = {"source": "file", "path": "nowhere.csv"}
    assert refused(config) == ["datasets.more.path: there is no file 'nowhere.csv'"]


def test_what_is_not_read_of_a_folder_is_named(config, tmp_path):
    for name in (
        "s/a.csv",
        "s/b.pdf",
        "s/x/README.md",
        "s/.hidden",
        *(f"s/{i}.txt" for i in "1234"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text,label\n")
    folder = {"source": "file", "path": str(tmp_path / "s")}
    config["datasets"] |= {"more": folder, "unused": folder}
    settings = load_settings(config, ROOT)
    assert datasets.notice(settings, Flow(config).datasets) == (
        f"datasets.more: of the folder {tmp_path / 's'} 1.txt, 2.txt, 3.txt, 4.txt, b.pdf and 1 "
        "more are not read"
    )
    assert datasets.notice(settings, ["news"]) is None


def test_a_task_on_a_part_may_hold_test_records_of_the_mixture(config):
    config["tasks"]["alone"] = {**config["tasks"]["news"], "dataset": "news"}
    config["models"]["tiny-mistral"]["corpus"] = ["alone"]
    assert any("may have read test records of 'news'" in line for line in refused(config))
    config["datasets"]["both"]["of"] = {"more": 1, "others": 1}
    config["datasets"]["others"] = {**config["datasets"]["more"], "id": "a/c"}
    assert not any("may have read" in line for line in lines_of(config))


def lines_of(config) -> list[str]:
    try:
        load_settings(config, ROOT)
    except UserError as error:
        return str(error).splitlines()
    return []


def test_parts_are_read_for_the_tasks_of_their_mixture(config):
    flow = Flow(config)
    assert flow.datasets[-3:] == ["more", "news", "both"] and not flow.is_text("both")
    for name in ("more", "news"):
        params = flow.params.fetch_dataset(SimpleNamespace(dataset=name))
        assert params["used"] == ["chapter", "label", "text"]
    both = SimpleNamespace(dataset="both")
    assert flow.params.mix_datasets(both) == {
        "source": "mixture",
        "of": {"more": 0.3, "news": 0.7},
        "records": None,
        "seed": 0,
        "dataset": "both",
        "used": ["chapter", "label", "text"],
    }
    inputs = flow.inputs.mix_datasets(both)
    assert inputs["rejects"] == [f"results/datasets/{n}/rejects.csv" for n in ("more", "news")]
    jobs = flow.report.plan()["jobs"]
    assert {*jobs["mix_datasets"]} == {"both"} and "both" not in jobs["fetch_dataset"]
    assert {"datasets.more", "datasets.news"} <= contents.settings(flow, config)["inputs"].keys()
    config["tasks"]["news"]["split"] = {"group": "author"}
    flow = Flow(config)
    assert flow.params.fetch_dataset(SimpleNamespace(dataset="news"))["groups"] == ["author"]
