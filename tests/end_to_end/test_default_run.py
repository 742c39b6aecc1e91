"""The embedded default as it is shipped, each stage in the environment of its own file.

conda is played by tests/conda/standin, which builds the environments for real; the first time
takes some minutes, later runs find them beside the tests' own packages.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, copy_project

sys.path.insert(0, str(ROOT / "tests/conda"))
import environments
from deltatune.workflow import environments as files

USED = {"data", "train", "evaluate", "report"}


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("default") / "project")
    done = environments.run(project, "--cores", "all", watch=project.parent / "watch")
    assert done.returncode == 0, done.stdout[-5000:]
    return project


@pytest.fixture(scope="module")
def jobs(default_run) -> list[dict]:
    return list(environments.jobs(default_run.parent / "watch"))


# ------------------------------------------------------------ the environments


needed = pytest.mark.skipif(
    not environments.available(), reason="there is no Python 3.11 to build environments with"
)


@needed
@pytest.mark.parametrize("name", sorted(USED))
def test_an_environment_holds_what_its_file_lists_and_nothing_else(default_run, name):
    """pip was free to add what a listed package needs: there was nothing to add."""
    python = environments.built()[name] / "bin" / "python"
    listing = subprocess.run(
        [python, "-I", "-c", PRINT_INSTALLED], stdout=subprocess.PIPE, check=True, text=True
    )
    installed = [line.split("==") for line in listing.stdout.splitlines()]
    _, pins = files.listed((ROOT / f"envs/{name}.yaml").read_text())
    assert {(files.canonicalize_name(n), v.split("+")[0]) for n, v in installed} == set(
        pins.items()
    )


PRINT_INSTALLED = """
from importlib.metadata import distributions
for one in distributions():
    print(f"{one.metadata['Name']}=={one.version}")
"""


@needed
def test_every_job_ran_in_the_environment_of_its_rule(default_run, jobs):
    prefixes = environments.built()
    wanted = {script: str(prefixes[name]) for _, name, script in of_rules() if name in USED}
    assert {job["prefix"] for job in jobs} == {str(prefixes[name]) for name in USED}
    assert [job for job in jobs if job["prefix"] != wanted[job["rule"]]] == []
    assert all(job["version"].startswith("3.11.") for job in jobs)


@needed
def test_every_job_was_seen(default_run, jobs):
    folder = default_run / "results/benchmarks"
    ran = Counter(Path(p.relative_to(folder).parts[0]).stem for p in tsv(default_run))
    assert Counter(job["rule"] for job in jobs) == ran
    assert ran.total() > 50


@needed
def test_no_job_loaded_a_package_from_outside_its_environment(default_run, jobs):
    """Snakemake puts its own folder behind the environment's on the path, for its helper."""
    leaked = {
        (job["rule"], name)
        for job in jobs
        for name in environments.from_outside(job, default_run)
        if not name.startswith("snakemake")
    }
    assert leaked == set()


def tsv(project: Path) -> list[Path]:
    return list(project.glob("results/benchmarks/**/*.tsv"))


def of_rules():
    from test_workflow_environments import of_rules

    return of_rules()


# ------------------------------------------------------------ what came out


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
        for path in tsv(default_run)
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
