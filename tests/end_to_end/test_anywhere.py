"""One experiment to its report from where a user has the project and the results, not in it."""

from __future__ import annotations

import shutil
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, copy_project, run_snakemake, small, write_config
from dry_runs import dry_run

SNAKEFILE = """
configfile: "settings.yaml"


module deltatune:
    snakefile:
        "deltatune/Snakefile"
    config:
        config["deltatune"]
    prefix:
        "tuned"


use rule * from deltatune as deltatune_*
"""


@pytest.fixture(scope="module")
def config(default_config) -> dict:
    """One experiment on a model of its own task."""
    config = small(default_config)
    config["run"] = ["news-qlora"]
    config["models"]["tiny-mistral"] |= {"corpus": ["news"], "steps": 4}
    config["tasks"]["news"]["evaluation"]["max_examples"] = 6
    return config


@pytest.fixture(scope="module")
def importing(tmp_path_factory, config) -> Path:
    """A finished run of a module with a prefix, in a folder with a space and a letter beyond ASCII,
    on data of the folder, with results on another disk."""
    folder = tmp_path_factory.mktemp("importing") / "l'été à venir"
    copy_project(folder / "deltatune")
    shutil.copytree(ROOT / "profiles/default", folder / "profiles/default")
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "Snakefile").write_text(SNAKEFILE)
    shutil.copy2(ROOT / "data/sample/news.csv", folder / "données.csv")
    own = yaml.safe_load(yaml.safe_dump(config))
    own["datasets"]["news"] |= {"source": "file", "path": "données.csv"}
    del own["datasets"]["news"]["name"]
    (folder / "settings.yaml").write_text(yaml.safe_dump({"deltatune": own, "other": 1}))
    scratch = folder.parent / "scratch disk"
    scratch.mkdir()
    (folder / "tuned").mkdir()
    (folder / "tuned/results").symlink_to(scratch)
    python = str(folder / ".venv/bin/python")
    done = run_snakemake(
        folder, "--cores", "2", "deltatune_all", "deltatune_archive", python=python
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return folder


def test_a_module_with_a_prefix_in_a_folder_with_a_space(importing):
    scratch = importing.parent / "scratch disk"
    assert "news-qlora" in (scratch / "report.html").read_text()
    assert {"checksums", "cache", "experiments", "verdict.txt"} <= {
        p.name for p in scratch.iterdir()
    }
    assert not (importing / "results").exists() and not (importing / "deltatune/results").exists()
    # Its results are known as its own.
    plan = dry_run(importing, "deltatune_all", "deltatune_archive")
    assert "Nothing to be done" in plan.text and "deltatune:" not in plan.text, plan.text


def test_the_archive_of_a_module(importing):
    with zipfile.ZipFile(importing / "tuned/results/archive.zip") as archive:
        names = set(archive.namelist())
        settings = yaml.safe_load(archive.read("config.yaml"))
    assert settings["datasets"]["news"]["path"] == "data/local/news/données.csv"
    assert {
        "Snakefile",
        "data/local/news/données.csv",
        "run/report.html",
        "run/experiments/news-qlora/seed-1/adapter/adapter_model.safetensors",
    } <= names
    assert not [name for name in names if "tuned/results" in name]


def test_another_folder_with_the_settings_of_the_project(tmp_path, config):
    project = copy_project(tmp_path / "project")
    write_config(project, config)
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    snakefile = ("--snakefile", str(project / "Snakefile"))
    done = run_snakemake(here, *snakefile, "--directory", str(there), "--cores", "2", warm=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "news-qlora" in (there / "results/report.html").read_text()
    assert not list(here.iterdir()) and not (project / "results").exists()
    # The settings of the folder go before those of the project.
    write_config(there, config | {"seeds": [1, 2]})
    jobs = dry_run(there, *snakefile).jobs
    assert "train_adapter news-qlora 2" in jobs and "train_adapter news-qlora 1" not in jobs
