"""Ten sources as people have them, from their files to one report: no row is lost on the way."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import ten_sources
from conftest import copy_project, run_snakemake, write_config
from standin_hub import Hub
from ten_sources import MIXTURES, STEPS, TOO_LONG

SPLITS = ("train", "validation", "test")
TASKS = ("talks", "answers", "grades", "spam", "letters")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The project folder in which all of it has run, its output, and the rows of each source."""
    folder = copy_project(tmp_path_factory.mktemp("ten") / "project")
    with Hub() as hub:
        rows = ten_sources.write(folder, hub)
        ten_sources.save_model(folder / "models/tiny")
        write_config(folder, ten_sources.config())
        home = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(folder / "home"), "HF_ENDPOINT": hub.url}
        done = run_snakemake(folder, "--cores", "2", "all", "preview", warm=True, **home)
    assert done.returncode == 0, done.stdout[-5000:]
    return folder / "results", done.stdout, rows


def read(path: Path) -> dict:
    return json.loads(path.read_text())


def used_and_excluded(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The records of all splits of a task, and what was left out."""
    parts = [pd.read_parquet(folder / f"{split}.parquet") for split in SPLITS]
    return pd.concat(parts), pd.read_csv(folder / "excluded.csv")


def test_every_row_of_a_source_is_used_or_excluded_once(run):
    results, _, rows = run
    for name in ("grades", "spam"):
        used, excluded = used_and_excluded(results / "tasks" / name)
        assert read(results / f"datasets/{name}/manifest.json")["rows"] == rows[name]
        assert sorted([*used["id"], *excluded["row"]]) == [*range(1, rows[name] + 1)]
        assert excluded["code"].tolist() == ["unknown_label"] * len(excluded)
        assert len(excluded) == (2 if name == "grades" else 1)
    # The last one of the hub's own test split is unknown.
    used, excluded = used_and_excluded(results / "tasks/grades")
    assert pd.read_parquet(results / "tasks/grades/test.parquet")["id"].tolist() == [*range(20, 26)]


@pytest.mark.parametrize("name", MIXTURES)
def test_every_row_of_a_mixture_is_used_excluded_or_left(run, name):
    results, _, rows = run
    used, excluded = used_and_excluded(results / "tasks" / name)
    parts, records = MIXTURES[name]
    assert sorted([*used["id"], *excluded["row"]]) == [*range(1, records + 1)]
    facts = read(results / f"datasets/{name}/manifest.json")["parts"]
    for part in parts:
        drawn = sorted(
            row
            for frame in (used, excluded)
            for row in frame.loc[frame["dataset"] == part, "dataset_row"]
        )
        assert len(set(drawn)) == len(drawn) == facts[part]["drawn"] == records // len(parts)
        assert set(drawn) <= {*range(1, rows[part] + 1)}
        assert facts[part]["left"] == rows[part] - len(drawn)
    reasons = dict(zip(excluded["dataset"], excluded["code"], strict=True))
    if name == "talks":
        reason = {"sharegpt": "nothing_learned", "tools": "not_json"}
        assert reasons == {**reason, "thinking": "not_a_conversation"}
    else:
        assert {*reasons.values()} <= {"missing", "empty"}


def test_every_paragraph_of_the_folder_is_in_a_chunk(run):
    results, _, rows = run
    facts = read(results / "datasets/letters/manifest.json")
    assert facts["rows"] == facts["kept"] == rows["letters"] == sum(facts["files"].values())
    used, excluded = used_and_excluded(results / "tasks/letters")
    chunks = read(results / "tasks/letters/manifest.json")["records"]
    assert len(used) + len(excluded) == chunks >= rows["letters"]


@pytest.mark.parametrize("name", TASKS)
def test_every_record_is_trained_on_or_named_and_asked(run, name):
    results, _, _ = run
    for split in ("train", "validation"):
        ids = set(pd.read_parquet(results / f"tasks/{name}/{split}.parquet")["id"])
        tokens = results / f"tokens/{name}/tiny"
        rows = set(pd.read_parquet(tokens / f"{split}.parquet")["record"])
        dropped = {one["record"] for one in read(tokens / f"{split}.json")["unsupervised_records"]}
        assert rows | dropped == ids and not rows & dropped
    steps = pd.read_csv(results / f"experiments/{name}/seed-1/loss.csv")["step"]
    assert steps.max() == STEPS
    if name != "letters":
        test = pd.read_parquet(results / f"tasks/{name}/test.parquet")["id"]
        for system in ("base/tiny/none", f"tuned/{name}/seed-1"):
            scores = results / f"evaluations/test/{name}/{system}/scores.parquet"
            assert sorted(pd.read_parquet(scores)["id"]) == sorted(test)
            assert 4 <= len(test) <= 8


def test_what_is_learned_nowhere_is_named_in_the_preview(run):
    results, output, _ = run
    talks = pd.concat([pd.read_parquet(results / f"tasks/talks/{s}.parquet") for s in SPLITS])
    (record,) = talks[(talks["dataset"] == "thinking") & (talks["dataset_row"] == TOO_LONG)]["id"]
    sentence = f"Nothing is trained on in 1 record: {record} (no turn that is learned fits)."
    assert sentence in output
    assert sentence in (results / "preview.html").read_text()


def test_the_report_has_each_experiment(run):
    results, _, _ = run
    page = (results / "report.html").read_text()
    table = pd.read_csv(results / "comparison.csv")
    assert set(table["experiment"]) == set(TASKS)
    assert all(name in page for name in TASKS)
