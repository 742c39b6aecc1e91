"""Seconds of the default pipeline, in one or more versions of the project, one after the other.

    python benchmarks/default_run.py BEFORE AFTER --cores 2 --beside 0 2

BEFORE, AFTER: clones of the project, each of which is copied to a temporary folder without its
results to run there. CPU seconds are of snakemake and all its jobs; other work on the machine
changes them less than those of the clock. --beside: how many processes that compute without a pause
run at the same time; of several numbers all projects run beside each.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def busy() -> None:
    while True:
        pass


def run(project: Path, cores: int) -> tuple[float, float, int]:
    """(seconds, CPU seconds, jobs) of the default target."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", str(cores)],
        cwd=project,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=True,
        capture_output=True,
    )
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, len(list((project / "results" / "benchmarks").rglob("*.tsv")))


def by_rule(project: Path) -> dict[str, tuple[int, float]]:
    """Rule -> (jobs, seconds of all of them)."""
    folder = project / "results" / "benchmarks"
    rules: dict[str, tuple[int, float]] = {}
    for path in folder.rglob("*.tsv"):
        rule = path.relative_to(folder).parts[0].removesuffix(".tsv")
        with path.open(encoding="utf-8") as file:
            seconds = sum(float(row["s"]) for row in csv.DictReader(file, delimiter="\t"))
        jobs, total = rules.get(rule, (0, 0.0))
        rules[rule] = jobs + 1, total + seconds
    return rules


def compare(projects: list[Path], cores: int, beside: int) -> None:
    """Print what each of the projects takes beside so many busy processes."""
    others = [multiprocessing.Process(target=busy, daemon=True) for _ in range(beside)]
    for process in others:
        process.start()
    base = None
    print(f"{cores} cores, beside {beside} busy processes")
    try:
        for project in projects:
            with tempfile.TemporaryDirectory(prefix="default-run-") as folder:
                copy = Path(folder, project.name)
                without = shutil.ignore_patterns("results", ".snakemake", ".venv", ".git")
                shutil.copytree(project, copy, ignore=without)
                seconds, cpu, jobs = run(copy, cores)
                rules = by_rule(copy)
            base = base or (seconds, cpu)
            print(
                f"{project.name}: {seconds:.0f} s ({seconds / base[0]:.2f}), "
                f"{cpu:.0f} s of CPU time ({cpu / base[1]:.2f}), {jobs} jobs"
            )
            for rule, (count, total) in sorted(rules.items(), key=lambda item: -item[1][1]):
                print(f"  {rule:22} {count:3} jobs {total:7.1f} s", flush=True)
    finally:
        # RUSAGE_CHILDREN counts a process when it has been waited for: only now these.
        for process in others:
            process.kill()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("projects", type=Path, nargs="+")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--beside", type=int, nargs="+", default=[0])
    chosen = parser.parse_args()
    for beside in chosen.beside:
        compare([project.resolve() for project in chosen.projects], chosen.cores, beside)


if __name__ == "__main__":
    main()
