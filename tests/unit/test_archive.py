"""Contents and metadata of an archive, without a run."""

from __future__ import annotations

import copy
import json
import os
import shutil
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from deltatune.archive import contents, crate, writer
from deltatune.archive import preview as crate_preview
from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.workflow.flow import Flow

REVISION = "1" * 40


@pytest.fixture
def config(default_config, tmp_path):
    """Every kind of source: sample, an absolute path, an address, the hub, a folder here."""
    config = copy.deepcopy(default_config)
    shutil.copy2(ROOT / "data/sample/news.csv", tmp_path / "a & b.csv")
    (tmp_path / "llama").mkdir()
    (tmp_path / "llama/config.json").write_text("{}")
    for file in ("model.safetensors", "tokenizer.json"):
        (tmp_path / "llama" / file).touch()
    config["datasets"] |= {
        "here": {"source": "file", "path": str(tmp_path / "a & b.csv")},
        "unused": {"source": "file", "path": "/home/somebody/secret.csv"},
        "there": {"source": "url", "url": "https://example.org/a/book.txt", "sha256": "2" * 64},
        "hub": {"source": "hub", "id": "some/news", "revision": REVISION},
    }
    config["models"] |= {
        "mine": {"source": "local", "path": str(tmp_path / "llama")},
        "theirs": {"source": "hub", "id": "some/model", "revision": REVISION},
    }
    config["tasks"] |= {
        "here": {**config["tasks"]["news"], "dataset": "here"},
        "there": {**config["tasks"]["prose"], "dataset": "there"},
        "hub": {**config["tasks"]["news"], "dataset": "hub"},
    }
    config["experiments"] = {
        "a": {"model": "mine", "task": "here", "cross_task": ["there"], "lora": {"rank": 2}},
        "b": {"model": "theirs", "task": "hub", "lora": {"rank": 3}},
        "c": {"model": "tiny-mistral", "task": "news", "lora": {"rank": 4}},
    }
    config["run"] = ["a", "b"]
    return config


@pytest.fixture
def settings(config, monkeypatch):
    monkeypatch.chdir(ROOT)
    return contents.settings(Flow(config), config)


def test_sources_of_every_kind(settings):
    address = f"https://huggingface.co/{{}}/tree/{REVISION}"
    assert settings["inputs"] == {
        "datasets.here": {"file": "data/local/here/a & b.csv"},
        "datasets.there": {
            "address": "https://example.org/a/book.txt",
            "name": "https://example.org/a/book.txt",
            "sha256": "2" * 64,
        },
        "datasets.hub": {
            "address": address.format("datasets/some/news"),
            "name": "some/news",
            "version": REVISION,
        },
        "models.mine": {"folder": "models/mine"},
        "models.theirs": {
            "address": address.format("some/model"),
            "name": "some/model",
            "version": REVISION,
        },
    }


def test_the_configuration_names_no_place_of_this_machine(settings, config, tmp_path):
    text = settings["config"]
    assert str(tmp_path) not in text and "/home/somebody" not in text
    archived = yaml.safe_load(text)
    assert archived["datasets"]["unused"]["path"] == "data/local/unused/secret.csv"
    assert archived["experiments"] == config["experiments"] and list(archived) == list(config)
    # What the run does not read is not among its parameters.
    assert settings["parameters"]["experiments.b.lora.rank"] == 3
    assert not {name for name in settings["parameters"] if ".c." in name or "unused" in name}
    assert settings["parameters"]["tasks.hub.labels"] == config["tasks"]["news"]["labels"]


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("mine/news.csv", True),
        ("../news.csv", False),
        ("mine/../../news.csv", False),
        ("results/news.csv", False),
        ("run/news.csv", False),
        ("/data/news.csv", False),
    ],
)
def test_a_file_of_the_project_keeps_its_place(default_config, monkeypatch, path, kept):
    monkeypatch.chdir(ROOT)
    config = copy.deepcopy(default_config)
    config["datasets"]["mine"] = {"source": "file", "path": path}
    moved = contents.moved(Flow(config))
    assert moved == ({} if kept else {path: "data/local/mine/news.csv"})


def test_the_project_is_whole_and_holds_no_result(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {str(Path(path).relative_to(ROOT)) for path in contents.workflow()}
    assert {
        "Snakefile",
        "constraints.txt",
        "envs/train.yaml",
        "profiles/slurm/config.yaml",
    } <= names
    assert {f"scripts/{p.name}" for p in (ROOT / "scripts").glob("*.py")} <= names
    assert {f"rules/{p.name}" for p in (ROOT / "rules").glob("*.smk")} <= names
    assert "config.yaml" not in names and "__pycache__" not in " ".join(names)
    assert {name for name in names if name.startswith("results/")} == {"results/README.md"}


# ------------------------------------------------------------ a run of a few files


@pytest.fixture
def run(tmp_path, monkeypatch, settings):
    """A folder with a run of a few files, and what `contents` takes from it."""
    project = tmp_path / "project"
    for name, text in {
        "Snakefile": "rule all:\n",
        "results/verdict.txt": "It <b>helped</b>.\nMore.\n",
        "results/report.html": "<p>The report</p>",
        "results/comparison.csv": "a,b\n1,2\n",
        "results/models/mine/manifest.json": json.dumps(
            {
                "settings": {"path": str(tmp_path / "llama"), "cwd": f"{project}/x"},
                "seconds": 100.0,
                "versions": {"python": "3.11.7", "torch": "2.13.0+cpu"},
            }
        ),
        "results/experiments/a/seed-1/adapter/adapter_config.json": "{}",
        "results/experiments/a/seed-1/adapter/adapter_model.safetensors": "weights",
        "results/experiments/a/seed-1/adapter/scratch.tmp": "undeclared",
    }.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (1_700_000_000, 1_700_000_000))
    adapter = project / "results/experiments/a/seed-1/adapter"
    hashes = adapter.with_suffix(".sha256")
    hashing.write_hashes(adapter, hashes, without="scratch.*")
    os.utime(hashes, (1_700_000_060, 1_700_000_060))
    monkeypatch.chdir(project)
    monkeypatch.setattr(writer, "ROOT", project)
    results = [
        *("results/verdict.txt", "results/report.html", "results/comparison.csv"),
        *("results/models/mine/manifest.json", "results/experiments/a/seed-1/adapter.sha256"),
    ]
    source = str(tmp_path / "a & b.csv")
    return {
        "results": results,
        "adapters": ["results/experiments/a/seed-1/adapter"],
        "workflow": [str(project / "Snakefile")],
        "sources": [source],
        "settings": settings,
    }


def written(run, path: Path) -> bytes:
    settings = run["settings"]
    template = ROOT / "report/crate.html.j2"
    writer.write(
        path,
        writer.collect(**run),
        settings,
        lambda document: crate_preview.render(template, document, settings),
    )
    return path.read_bytes()


def test_files_have_their_names_in_the_archive_and_no_path_of_the_machine(run, tmp_path):
    members = writer.collect(**run)
    assert list(members) == [
        "Snakefile",
        "config.yaml",
        "data/local/here/a & b.csv",
        "run/comparison.csv",
        "run/experiments/a/seed-1/adapter.sha256",
        "run/experiments/a/seed-1/adapter/adapter_config.json",
        "run/experiments/a/seed-1/adapter/adapter_model.safetensors",
        "run/models/mine/manifest.json",
        "run/report.html",
        "run/verdict.txt",
    ]
    settings = json.loads(members["run/models/mine/manifest.json"])["settings"]
    assert settings == {"path": "models/mine", "cwd": "x"}


def test_times_are_those_of_the_files_less_the_seconds_that_the_first_took(run):
    start, end = writer.times(writer.collect(**run))
    assert start == datetime.fromtimestamp(1_700_000_000 - 100, UTC)
    assert end == datetime.fromtimestamp(1_700_000_060, UTC)


def test_the_bytes_do_not_depend_on_when_they_are_written(run, tmp_path):
    before = written(run, tmp_path / "first.zip")
    os.utime(run["workflow"][0])
    assert written(run, tmp_path / "second.zip") == before
    with zipfile.ZipFile(tmp_path / "first.zip") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        document = json.loads(archive.read(crate.METADATA))
        preview = archive.read(crate.PREVIEW).decode()
    run_ = next(e for e in document["@graph"] if e["@type"] == "CreateAction")
    assert f"https://huggingface.co/some/model/tree/{REVISION}" in {
        e["@id"] for e in run_["object"]
    }
    assert "&lt;b&gt;helped&lt;/b&gt;. More. What was run" in preview
    assert "<b>helped" not in preview
    assert "data/local/here/a%20%26%20b.csv" in preview and "models/mine" in preview


def test_another_result_gives_another_run(run, tmp_path):
    def identity(name):
        written(run, tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as archive:
            graph = json.loads(archive.read(crate.METADATA))["@graph"]
        return next(e["@id"] for e in graph if e["@type"] == "CreateAction")

    before = identity("first.zip")
    Path("results/comparison.csv").write_text("a,b\n1,3\n")
    assert identity("second.zip") != before


def test_an_adapter_that_was_changed_is_refused(run):
    Path("results/experiments/a/seed-1/adapter/adapter_model.safetensors").write_text("others")
    with pytest.raises(UserError, match="has changed since training"):
        writer.collect(**run)


def test_the_license_is_that_of_the_workflow_alone(run, tmp_path):
    """The results are those of whoever made the run, the models and datasets of others theirs."""

    def graph(name):
        written(run, tmp_path / name)
        with zipfile.ZipFile(tmp_path / name) as archive:
            page = archive.read(crate.PREVIEW).decode()
            return {e["@id"]: e for e in json.loads(archive.read(crate.METADATA))["@graph"]}, page

    entities, page = graph("without.zip")
    assert "license" not in entities["Snakefile"] and "Apache" not in page
    shutil.copy2(ROOT / "LICENSE", "LICENSE")
    run["workflow"].append(str(Path("LICENSE").resolve()))
    entities, page = graph("with.zip")
    assert entities["Snakefile"]["license"] == {"@id": "LICENSE"}
    assert entities["LICENSE"]["identifier"] == "https://spdx.org/licenses/Apache-2.0"
    licensed = {name for name, entity in entities.items() if "license" in entity}
    assert licensed == {"./", "Snakefile"}
    assert entities["./"]["license"] == {"@id": "#license"}
    assert "No license is stated for the whole" in page and "Apache License 2.0" in page


@pytest.mark.parametrize("file", ["results/report.html", "Snakefile"])
def test_a_secret_is_refused_without_being_shown(run, monkeypatch, file):
    monkeypatch.setenv("SOME_API_KEY", "canary-0123456789")
    writer.collect(**run)
    Path(file).write_text("key = canary-0123456789")
    with pytest.raises(UserError, match="the value of SOME_API_KEY") as refused:
        writer.collect(**run)
    assert "canary" not in str(refused.value)
