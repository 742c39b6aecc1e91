"""The same pipeline on the real extracts, from a config that is written here."""

from __future__ import annotations

import pandas as pd
from conftest import copy_project, run_snakemake, small, write_config


def real_config(default: dict, data) -> dict:
    """The default with each sample set replaced by the real one of its kind."""
    config = small(default)
    config["datasets"] = {
        "alpaca": {"source": "file", "path": str(data / "alpaca.json")},
        "frankenstein": {"source": "file", "path": str(data / "frankenstein.txt")},
        "ag_news": {
            "source": "file",
            "path": str(data / "ag_news.csv"),
            "columns": {"text": ["title", "description"], "label": "label"},
        },
    }
    names = {"instructions": "alpaca", "prose": "frankenstein", "news": "ag_news"}
    for task, dataset in names.items():
        config["tasks"][task] |= {"dataset": dataset, "max_length": 512}
        config["tasks"][task]["split"]["max_records"] = 120
    config["cross_task"] = "none"
    for experiment in config["experiments"].values():
        experiment.pop("cross_task", None)
    return config


def test_real_files_to_a_report(tmp_path, shared_data, default_config):
    project = copy_project(tmp_path / "project")
    write_config(project, real_config(default_config, shared_data))
    done = run_snakemake(project, "--cores", "2", warm=True)
    assert done.returncode == 0, done.stdout[-5000:]
    table = pd.read_csv(project / "results/comparison.csv")
    assert set(table["task"]) == {"instructions", "prose", "news"}
    chunks = pd.read_csv(project / "results/datasets/frankenstein/frankenstein_chunks.csv")
    assert "text" in chunks and chunks["chapter"].nunique() > 20
    assert (project / "results/report.html").stat().st_size > 50_000
