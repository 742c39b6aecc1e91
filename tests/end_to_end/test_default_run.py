"""The embedded default as it is shipped, run as `make demo` runs it."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from conftest import copy_project, run_snakemake


@pytest.fixture(scope="module")
def terminal(tmp_path_factory) -> tuple[Path, str]:
    """The project folder, and what was printed."""
    project = copy_project(tmp_path_factory.mktemp("default") / "project")
    shown = ("--logger", "stages", "--cores", "all")
    done = run_snakemake(project, *shown, PYTHONPATH=str(project / "scripts"))
    assert done.returncode == 0, done.stdout[-5000:]
    return project, done.stdout


@pytest.fixture(scope="module")
def default_run(terminal) -> Path:
    return terminal[0]


def test_the_terminal_fits_on_two_screens(terminal):
    lines = terminal[1].splitlines()
    assert len(lines) < 80 and max(map(len, lines)) < 400, terminal[1]
    assert re.search(r"^(\d+) of \1 jobs done in \d+:\d\d\.$", terminal[1], re.MULTILINE)


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
    # Of the recipe, since there are three seeds.
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


def test_the_verdict_is_the_first_screen_and_the_page_names_every_experiment(default_run):
    verdict = (default_run / "results/verdict.txt").read_text()
    html = (default_run / "results/report.html").read_text()
    assert len(verdict.split()) <= 90
    # So the verdict says it where it is about the recipe, and not about these adapters.
    assert verdict.startswith("Tuning (mean of 3 seeds) helped on 3 of 3 tasks")
    first_screen = re.search(r'<div class="overall">(.*?)</div>', html, re.DOTALL)[1]
    sentences = re.findall(r"<p>(.*?)</p>", first_screen)
    assert verdict.splitlines() == [unescape(one) for one in sentences]
    pairs = html[html.index("Pair by pair") :]
    for experiment in ("instructions-qlora", "prose-qlora", "news-qlora"):
        assert pairs.count(f'<span class="who">{experiment}') == 3
