"""Files that vanish or are damaged, disks that are full or cannot be written, runs that are killed.

The next `snakemake` either ends with the results of an undisturbed run, or with a message.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, copy_project, run_snakemake
from identity import differences, identity

BASE = "results/models/tiny-mistral/model/model.safetensors"
ROWS = "results/tokens/prose/tiny-mistral/train"
ADAPTER = "results/experiments/prose-qlora/seed-1"
TUNED = "results/evaluations/test/prose/tuned/prose-qlora/seed-1"
UNTUNED = "results/evaluations/test/prose/base/tiny-mistral/nf4"


@pytest.fixture
def finished(small_run: Path, tmp_path: Path) -> Path:
    shutil.copytree(small_run, tmp_path / "project", symlinks=True)
    # What is lost is to be computed again.
    shutil.rmtree(tmp_path / "project/results/cache")
    return tmp_path / "project"


def refused(project: Path, *arguments: str) -> str:
    """The output of a snakemake that ends with a message and no traceback."""
    done = run_snakemake(project, "--cores", "1", *arguments, warm=True)
    assert done.returncode == 1, done.stdout[-3000:]
    assert "Traceback" not in done.stdout and "unexpectedly" not in done.stdout
    return done.stdout


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_last_line(path: Path) -> None:
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def with_a_bit_flipped(path: Path) -> None:
    """In the numbers of the last tensor, where nothing but a hash sees it."""
    content = bytearray(path.read_bytes())
    content[-9] ^= 0x40
    path.write_bytes(content)


def shard(project: Path) -> Path:
    return next((project / ROWS).glob("*.arrow"))


def test_removed_results_are_made_again_and_the_same(small_run, finished):
    for name in ("comparison.csv", "report.html", "comparisons/prose-qlora/prose.csv"):
        (finished / "results" / name).unlink()
    shutil.rmtree(finished / UNTUNED)
    done = run_snakemake(finished, "--cores", "1", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not differences(identity(small_run), identity(finished))


@pytest.mark.parametrize(
    ("damaged", "damage", "lost", "target"),
    [
        (BASE, with_a_bit_flipped, f"{UNTUNED}/text.parquet", f"{UNTUNED}/text.parquet"),
        (BASE, cut_in_half, f"{UNTUNED}/text.parquet", f"{UNTUNED}/text.parquet"),
        (
            f"{ADAPTER}/adapter/adapter_model.safetensors",
            with_a_bit_flipped,
            f"{TUNED}/text.parquet",
            f"{TUNED}/text.parquet",
        ),
        ("results/comparisons/news-qlora/news.csv", without_last_line, None, "all"),
        (f"{TUNED}/scores.parquet", cut_in_half, None, "all"),
    ],
    ids=["a bit of the base", "half the base", "a bit of an adapter", "a row of a table",
         "half the scores"],
)  # fmt: skip
def test_nothing_is_computed_from_what_was_damaged(finished, damaged, damage, lost, target):
    """lost: a result that is gone too, so that the damaged file is read again."""
    damage(finished / damaged)
    if lost:
        (finished / lost).unlink()
    before = identity(finished)
    output = refused(finished, target)
    assert f"{damaged} is not what was made" in output
    assert re.search(r"Delete results/\S+ and run again", output)
    # Snakemake takes away what the stopped job was to make; nothing else came or changed.
    after = identity(finished)
    assert not {name for name in after if before.get(name) != after[name]}


def test_a_damaged_shard_is_made_anew_by_what_the_message_says(small_run, finished):
    cut_in_half(shard(finished))
    shutil.rmtree(finished / ADAPTER)
    output = refused(finished, f"{ADAPTER}/loss.csv")
    advised = re.search(r"Delete (results/\S+) and run again", output)[1]
    assert advised == f"{ROWS}.sha256"
    (finished / advised).unlink()
    done = run_snakemake(finished, "--cores", "2", "all", f"{ADAPTER}/loss.csv", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert not differences(identity(small_run), identity(finished))


# ---------------------------------------------------------------- disks


@contextmanager
def mounted(folder: Path, *options: str) -> Iterator[Callable[[str], None]]:
    """Something mounted on a folder; gives a function that mounts it again with other options."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield lambda option: subprocess.run(
            ["mount", "-o", f"remount,{option}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def needs_root() -> None:
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("only root can mount a disk on Linux")


def test_a_full_disk_is_reported_and_with_space_the_run_goes_on(small_run, tmp_path):
    needs_root()
    project = copy_project(tmp_path / "project")
    shutil.copy2(small_run / "config.yaml", project)
    target = "results/comparisons/prose-qlora/prose.csv"
    with mounted(project / "results", "-t", "tmpfs", "-o", "size=600k", "tmpfs") as again:
        output = refused(project, target)
        assert "the disk is full" in output
        again("size=100m")
        done = run_snakemake(project, "--cores", "2", target, warm=True)
        assert done.returncode == 0, done.stdout[-3000:]
        expected, actual = identity(small_run), identity(project)
        assert "comparisons/prose-qlora/prose.csv" in actual
        assert not differences({name: expected[name] for name in actual}, actual)


@pytest.mark.parametrize("begun", [True, False], ids=["with results", "without"])
def test_a_folder_that_can_only_be_read_is_reported(finished, tmp_path, begun):
    needs_root()
    project = finished if begun else copy_project(tmp_path / "new")
    results = project / "results"
    if begun:
        (results / "comparison.csv").unlink()
    before = identity(project) if begun else {}
    with mounted(results, "--bind", str(results)) as again:
        again("bind,ro")
        output = refused(project, "results/comparison.csv")
        assert "results/ can only be read. Make it writable" in output
        # Looking at it is no writing.
        assert (
            run_snakemake(project, "--dry-run", "results/comparison.csv", warm=True).returncode == 0
        )
    assert identity(project) == before
    assert (
        run_snakemake(project, "--cores", "1", "--until", "fetch_dataset", warm=True).returncode
        == 0
    )


# ---------------------------------------------------------------- kills


def test_a_run_that_is_killed_again_and_again_ends_as_the_undisturbed_one(small_run, tmp_path):
    """A few of the kills that benchmarks/kill_runs.py makes by the dozen."""
    figures = tmp_path / "figures.json"
    seconds = pd.concat(
        pd.read_csv(path, sep="\t") for path in (small_run / "results/benchmarks").rglob("*.tsv")
    )["s"].sum()
    done = subprocess.run(
        [
            *(sys.executable, str(ROOT / "benchmarks/kill_runs.py"), "--kills", "5"),
            *("--against", str(small_run), "--length", str(min(seconds / 2, 40))),
            *("--folder", str(tmp_path / "runs"), "--json", str(figures)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    facts = json.loads(figures.read_text())
    assert facts["kills"] == 5 and len(facts["by kind"]) == 5
    assert facts["results compared in each"] > 100
