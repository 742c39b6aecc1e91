"""Datasets from the hub: which records come, what a failure says, and that the next run works."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
from deltatune.data.readers.writer import about_source
from fetch_process import CANARY

ID = "maker/set"


def asked(repo, **changed) -> dict:
    return {"source": "hub", "id": repo.id, "revision": repo.commit, **changed}


def records(fetch) -> pd.DataFrame:
    return pd.read_parquet(fetch.folder / "results/datasets/x/records.parquet")


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two splits as Parquet, with enough in them that a download can be cut off in the middle."""
    folder = tmp_path / "set"
    (folder / "data").mkdir(parents=True)
    for split, rows in (("train", 3000), ("test", 3)):
        frame = pd.DataFrame({"n": range(rows), "text": [f"{split} {i:x}" for i in range(rows)]})
        frame.to_parquet(folder / f"data/{split}-00000-of-00001.parquet", compression=None)
    return folder


TRAIN = "data/train-00000-of-00001.parquet"


@pytest.fixture
def repo(hub, folder):
    return hub.add("dataset", ID, folder)


def test_the_files_of_the_split_alone_become_records(fetch, hub, repo):
    repo.tags = ("v1",)
    fetch.dataset(**asked(repo, revision="v1", columns={"text": "text", "id": "n"}))
    frame = records(fetch)
    # In the order of the alphabet: that of config.yaml decides nothing.
    assert frame.columns.tolist() == ["row", "id", "text"]
    assert len(frame) == 3000 and frame.iloc[255].tolist() == [256, "255", "train ff"]
    manifest = fetch.manifest("datasets")
    assert manifest["commit"] == repo.commit and list(manifest["files"]) == [TRAIN]
    assert manifest["rows"] == manifest["kept"] == 3000
    # Parquet is read for its columns where a split is chosen, never for its rows.
    stored = [r for r in hub.requests if r.storage and r.method == "GET" and r.range is None]
    assert len(stored) == 1


def test_splits_that_are_named_follow_each_other_and_know_their_name(fetch, hub, repo):
    columns = {"text": "text"}
    fetch.dataset(**asked(repo, split={"train": "train", "test": "test"}, columns=columns))
    frame = records(fetch)
    assert frame.columns.tolist() == ["row", "text", "split:"]
    assert frame["split:"].tolist() == ["train"] * 3000 + ["test"] * 3
    assert frame["row"].tolist() == list(range(1, 3004))
    assert frame["text"].tolist()[-3:] == ["test 0", "test 1", "test 2"]
    manifest = fetch.manifest("datasets")
    assert manifest["splits"] == {"train": 3000, "test": 3}
    assert len(manifest["files"]) == 2
    output = fetch.dataset(fails=True, **asked(repo, split={"train": "train", "test": "tset"}))
    assert "has no split 'tset' (did you mean 'test'?)" in output


def test_configurations_and_types_are_those_that_the_repository_declares(fetch, hub, tmp_path):
    folder = tmp_path / "declared"
    folder.mkdir()
    (folder / "README.md").write_text(
        "---\n"
        "configs:\n"
        "- {config_name: plain, data_files: [{split: train, path: a.csv}], sep: ';'}\n"
        "- {config_name: other, data_files: [{split: train, path: b.csv}]}\n"
        "dataset_info:\n"
        "- config_name: plain\n"
        "  features:\n"
        "  - {name: label, dtype: {class_label: {names: {0: War, 1: Sport, 2: Money, 3: Tech}}}}\n"
        "  - {name: text, dtype: string}\n"
        "- config_name: other\n"
        "  features: [{name: text, dtype: string}]\n"
        "---\n"
    )
    (folder / "a.csv").write_text("label;text\n3;Chips fell\n0;Peace\n")
    (folder / "b.csv").write_text("text\none\ntwo\n")
    repo = hub.add("dataset", ID, folder)
    fetch.dataset(**asked(repo, config="plain"))
    assert records(fetch)[["label", "text"]].values.tolist() == [
        ["3", "Chips fell"],
        ["0", "Peace"],
    ]
    # A task that lists other names, or these in another order, is read by them or refused.
    names = {"label": ["War", "Sport", "Money", "Tech"]}
    assert about_source(fetch.folder / "results/datasets/x/records.parquet")["classes"] == names
    assert fetch.manifest("datasets")["classes"] == names
    fetch.dataset(**asked(repo, config="other"))
    assert records(fetch)["text"].tolist() == ["one", "two"]
    output = fetch.dataset(fails=True, **asked(repo))
    assert "datasets.x.config" in output and "'plain', 'other'" in output
    output = fetch.dataset(fails=True, **asked(repo, config="plane"))
    assert "datasets.x.config" in output and "plane" in output and "plain" in output


def test_what_cannot_be_used_is_rejected_with_its_number(fetch, hub, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    lines = [
        {"text": "good", "more": []},
        {"text": "a\0b", "more": [1]},
        {"text": None, "more": []},
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    repo = hub.add("dataset", ID, folder)
    output = fetch.dataset(**asked(repo, columns={"text": "text"}))
    assert "1 of 3 records rejected" in output
    assert records(fetch)["row"].tolist() == [1, 3]
    rejected = (fetch.folder / "results/datasets/x/rejects.csv").read_text().splitlines()
    assert next(csv.reader(rejected[1:]))[:4] == ["2", "text", "nul_byte", "NUL byte"]
    output = fetch.dataset(fails=True, **asked(repo, columns={"text": "txt"}))
    assert "no column 'txt' (did you mean 'text'?)" in output


def test_real_extracts_come_as_they_do_from_a_file(fetch, hub, tmp_path, shared_data):
    columns = {
        "alpaca.json": {"instruction": "instruction", "input": "input", "output": "output"},
        "ag_news.csv": {"text": ["title", "description"], "label": "label"},
    }
    for file, wanted in columns.items():
        folder = tmp_path / file
        folder.mkdir()
        (folder / file).write_bytes((shared_data / file).read_bytes())
        repo = hub.add("dataset", f"real/{file.split('.')[0]}", folder)
        fetch.dataset(**asked(repo, columns=wanted))
        ours = records(fetch)
        fetch.dataset(source="file", path=str(shared_data / file), columns=wanted)
        pd.testing.assert_frame_equal(ours, records(fetch))


# ---------------------------------------------------------------- failures, and the run after


def gated(fetch, hub, repo):
    repo.gated = True
    return lambda: setattr(repo, "gated", False)


def wrong_token(fetch, hub, repo):
    fetch.token = CANARY
    return lambda: setattr(fetch, "token", None)


def no_such_repository(fetch, hub, repo):
    removed = hub.repos.pop(("dataset", ID))
    return lambda: hub.repos.update({("dataset", ID): removed})


def no_network(fetch, hub, repo):
    fetch.environment = {"HF_ENDPOINT": "http://127.0.0.1:9"}
    return fetch.environment.clear


def too_many_requests(fetch, hub, repo):
    hub.refuse = 429
    return lambda: setattr(hub, "refuse", None)


def connection_cut(fetch, hub, repo):
    hub.cut[TRAIN] = 20_000
    return hub.cut.clear


FAULTS = [
    (gated, ["datasets.x.id", "is gated", f"/datasets/{ID}", "hf auth login"]),
    (wrong_token, ["refuses the token (from HF_TOKEN)"]),
    (no_such_repository, ["datasets.x.id", f"no dataset '{ID}'"]),
    (no_network, ["http://127.0.0.1:9", "Check the network"]),
    (too_many_requests, ["too many requests", "Wait some minutes"]),
    (connection_cut, ["broke off at 20.0 kB", "resumes the download"]),
]


def test_each_failure_says_what_to_do_and_the_run_after_them_succeeds(fetch, hub, repo):
    """With all of them in one folder: what is left of a failure must not harm the next run."""
    for fault, expected in FAULTS:
        repair = fault(fetch, hub, repo)
        shown = fetch.dataset(fails=True, **asked(repo))
        for text in expected:
            assert text in shown, shown
        assert CANARY not in shown and fetch.secrets() == []
        repair()
    hub.requests.clear()
    fetch.dataset(**asked(repo))
    assert len(records(fetch)) == 3000
    assert [r.range for r in hub.got(TRAIN) if r.storage] == ["bytes=20000-"]


def test_an_unknown_revision_or_split_is_told(fetch, repo):
    output = fetch.dataset(fails=True, **asked(repo, revision="v7"))
    assert "datasets.x.revision" in output and "no revision 'v7'" in output
    output = fetch.dataset(fails=True, **asked(repo, split="tset"))
    assert "datasets.x.split" in output and "did you mean 'test'?" in output and "train" in output


def test_a_dataset_that_is_a_program_is_refused_and_not_even_fetched(fetch, hub, folder):
    (folder / "set.py").write_text("raise SystemExit('run')")
    repo = hub.add("dataset", ID, folder)
    output = fetch.dataset(fails=True, **asked(repo))
    assert "set.py" in output and "code from the hub is never run" in output
    assert "refs%2Fconvert%2Fparquet" in output
    assert not [r for r in hub.requests if r.path.endswith("set.py") and r.method == "GET"]


def test_a_repository_without_data_is_told(fetch, hub, tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "README.md").write_text("nothing\n")
    output = fetch.dataset(fails=True, **asked(hub.add("dataset", ID, folder)))
    assert "datasets.x.id" in output and "cannot be read as a dataset" in output
