"""What a dry run says is what a run does, and taking an edit back gives the earlier results again.

The table of all edits is tested by dry runs alone, see tests/workflow/test_reruns.py.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import run_snakemake
from dry_runs import dry_run
from identity import differences, identity

#: Logs and benchmarks are written anew as well; they are no results.
RESULTS = ("comparisons", "datasets", "evaluations", "experiments", "models", "tasks", "tokens")


@pytest.fixture
def finished(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may change."""
    shutil.copytree(small_run, tmp_path / "project", symlinks=True)
    return tmp_path / "project"


def files(project: Path) -> dict[str, tuple[int, str]]:
    """Result -> (date, sha256 of the content); the seconds in a manifest differ each time."""
    results = {}
    for folder in RESULTS:
        for path in sorted((project / "results" / folder).rglob("*")):
            if path.is_file() and ".snakemake" not in path.name:
                content = "" if path.suffix == ".json" else path.read_bytes()
                digest = hashlib.sha256(content).hexdigest() if content else ""
                results[str(path.relative_to(project))] = path.stat().st_mtime_ns, digest
    return results


def run(project: Path, target: str) -> tuple[set[str], Counter]:
    """Run for real what a dry run plans, no more and no less. Returns the rules, and of those that
    are cached, rule -> number of jobs that computed."""
    plan = dry_run(project, target)
    assert plan.status == 0, plan.text
    before = files(project)
    done = run_snakemake(project, "--cores", "2", target, warm=True, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stdout[-3000:]
    ran = Counter(re.findall(r"Finished jobid: \d+ \(Rule: (\w+)\)", done.stdout))
    assert ran == Counter(job.split(" ")[0] for job in plan.jobs)
    after = files(project)
    outputs = tuple(output for made in plan.jobs.values() for output in made)
    written = {name for name in after if after[name][0] != before.get(name, (0, ""))[0]}
    assert written and all(name.startswith(outputs) for name in written)
    # What was planned was made, each file and each folder.
    assert all(any(name.startswith(output) for name in written) for output in outputs)
    assert dry_run(project, target).jobs == {}
    reused = re.findall(r"^  (\w+) .*: found again$", done.stdout, re.MULTILINE)
    return set(ran), ran - Counter(reused)


def content(project: Path) -> dict[str, str]:
    return {name: digest for name, (_, digest) in files(project).items()}


def edit(project: Path, change: Callable[[dict], object]) -> None:
    path = project / "config.yaml"
    config = yaml.safe_load(path.read_text())
    change(config)
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def test_rank_8_then_16_then_8_again_trains_twice(finished):
    target = "results/comparisons/news-qlora/news.csv"
    expected = {"train_adapter", "score_labels", "compute_metrics", "compare_systems"}
    trained, contents = [], []
    for rank in (8, 16, 8):
        edit(finished, lambda c, r=rank: c["experiments"]["news-qlora"]["lora"].update(rank=r))
        ran, computed = run(finished, target)
        assert ran == expected
        trained.append(computed["train_adapter"])
        contents.append(content(finished))
    assert trained == [1, 1, 0] and computed == {"compute_metrics": 1, "compare_systems": 1}
    assert contents[0] == contents[2] and contents[0].keys() == contents[1].keys()
    changed = {name for name in contents[0] if contents[0][name] != contents[1][name]}
    seed = "results/experiments/news-qlora/seed-1"
    assert {f"{seed}/adapter.sha256", f"{seed}/loss.csv"} <= changed
    assert all("/news-qlora/" in name for name in changed)

    # Without the cache, the same comes out, to the last byte.
    before = identity(finished)
    edit(finished, lambda config: config.update(cache_gb=0))
    assert dry_run(finished, target).jobs == {}
    evaluation = "results/evaluations/test/news/tuned/news-qlora/seed-1"
    for folder in (seed, evaluation):
        shutil.rmtree(finished / folder)
    (finished / target).unlink()
    ran, computed = run(finished, target)
    assert ran == expected and computed["train_adapter"] == computed["score_labels"] == 1
    assert not differences(before, identity(finished))


def test_a_prompt_that_is_taken_back_and_packing_that_leaves_the_rows(finished):
    before = identity(finished)
    target = "results/comparisons/instructions-qlora/instructions.csv"
    cached = {"tokenize_split", "train_adapter", "generate_answers"}
    text = (finished / "config.yaml").read_text()
    edit(finished, lambda c: c["tasks"]["instructions"].update(prompt="alpaca"))
    ran, computed = run(finished, target)
    assert cached <= ran
    assert computed["tokenize_split"] == computed["generate_answers"] == 2
    assert computed["train_adapter"] == 1
    assert differences(before, identity(finished))

    (finished / "config.yaml").write_text(text)
    ran, computed = run(finished, target)
    assert cached <= ran and not cached & computed.keys()
    assert not differences(before, identity(finished))

    # Both splits are packed again, into the same rows.
    with (finished / "scripts/deltatune/tokens/packing.py").open("a") as module:
        module.write("\nUNUSED = 1\n")
    ran, computed = run(finished, target)
    assert {"tokenize_split", "train_adapter"} <= ran
    assert computed["tokenize_split"] == 2 and "train_adapter" not in computed
    assert not differences(before, identity(finished))


def test_a_letter_in_a_data_file_and_back(finished):
    before = content(finished)
    path, target = finished / "data/sample/news.csv", "results/tasks/news/test.parquet"
    original = path.with_suffix(".aside")
    path.rename(original)
    text = original.read_text()
    # Of the same size, and older than all results.
    path.write_text(text.replace("the ", "teh "))
    assert path.stat().st_size == original.stat().st_size < 2**20
    os.utime(path, (1e9, 1e9))
    assert run(finished, target)[0] == {"fetch_dataset", "split_dataset"}
    edited = content(finished)
    changed = {name for name in edited if edited[name] != before[name]}
    assert {"results/datasets/news/records.parquet", target} <= changed
    assert all("/news/" in name for name in changed)

    original.rename(path)
    assert run(finished, target)[0] == {"fetch_dataset", "split_dataset"}
    assert content(finished) == before
