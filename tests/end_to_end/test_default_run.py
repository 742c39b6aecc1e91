"""The embedded default, with the first of its seeds: it improves what it tunes, and says so."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from conftest import copy_project, run_snakemake


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("default") / "project")
    # The second seed would be another two minutes, and is no other code.
    done = run_snakemake(project, "--cores", "all", "--config", "seeds=[1]")
    assert done.returncode == 0, done.stdout[-5000:]
    return project


@pytest.mark.parametrize(
    ("task", "metric"),
    [("instructions", "rouge_l"), ("prose", "perplexity"), ("news", "accuracy")],
)
def test_each_task_improves_in_its_main_metric(default_run, task, metric):
    table = pd.read_csv(default_run / "results/comparison.csv")
    (row,) = table[(table["task"] == task) & (table["metric"] == metric)].to_dict("records")
    better = 1 if row["higher_is_better"] else -1
    assert better * row["delta"] > 0
    assert better * row["ci_low"] > 0 and better * row["ci_high"] > 0
    assert row["p_holm"] < 0.05


def test_padding_is_under_two_percent(default_run):
    shares = {
        str(path.relative_to(default_run)): json.loads(path.read_text())["padding_share"]
        for path in default_run.glob("results/tokens/*/*/*.json")
    }
    assert len(shares) == 6
    assert max(shares.values()) < 0.02, shares


def test_no_job_needs_more_than_three_gigabytes(default_run):
    peaks = {
        str(path.relative_to(default_run)): pd.read_csv(path, sep="\t")["max_rss"].max()
        for path in default_run.glob("results/benchmarks/**/*.tsv")
    }
    assert peaks
    # Snakemake writes MiB; a job that ended before it could be measured has no figure.
    assert pd.Series(peaks).max() < 3000, peaks


def test_the_verdict_names_every_experiment(default_run):
    verdict = (default_run / "results/verdict.txt").read_text()
    for experiment in ("instructions-qlora", "prose-qlora", "news-qlora"):
        assert experiment in verdict
