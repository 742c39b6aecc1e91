"""What a job costs before its work begins, in two versions of the project.

    python benchmarks/job_start.py BEFORE AFTER --runs 7

BEFORE, AFTER: folders with the same small run, each finished by another version of the project. One
job of each kind runs in turn in both, as snakemake starts it: seconds of CPU time, which other work
on the machine changes less than those of the clock, from snakemake's start to its end.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

FOLDER = "results/evaluations/test/{task}/base/tiny-mistral/nf4/{file}"
JOBS = {
    "score_labels": FOLDER.format(task="news", file="labels.parquet"),
    "generate_answers": FOLDER.format(task="instructions", file="answers.parquet"),
    "compute_metrics": FOLDER.format(task="news", file="metrics.json"),
}


def run(project: Path, rule: str, target: str) -> tuple[float, float]:
    """(CPU seconds, seconds) of one job."""
    arguments = ["--cores", "1", "--forcerun", rule, "--allowed-rules", rule, "--", target]
    shutil.rmtree(project / "results/cache", ignore_errors=True)  # or it would be found again
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=project,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
    )
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    chosen = parser.parse_args()
    for rule, target in JOBS.items():
        pairs = []
        for _ in range(chosen.runs):
            pairs.append([run(project, rule, target) for project in (chosen.before, chosen.after)])
        for i, what in enumerate(("CPU seconds", "seconds")):
            before = [pair[0][i] for pair in pairs]
            after = [pair[1][i] for pair in pairs]
            saved = [b - a for b, a in zip(before, after, strict=True)]
            print(
                f"{rule}, {what}: before {statistics.median(before):.2f}, after "
                f"{statistics.median(after):.2f}, saved {statistics.median(saved):.2f} "
                f"({min(saved):.2f} to {max(saved):.2f}), {chosen.runs} pairs",
                flush=True,
            )


if __name__ == "__main__":
    main()
