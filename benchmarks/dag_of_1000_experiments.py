"""How long Snakemake takes to build the DAG: for 1,000 experiments, and for the default.

    python benchmarks/dag_of_1000_experiments.py [--experiments 1000] [--revision GIT]

The experiments differ in rank, learning rate and dropout, and share a base and a task. The results
of the default are placeholders, as in tests/workflow/reruns_project.py; the calls are those of the
command line. The table of all comparisons is really made, from an invented comparison of each.
--revision takes scripts/ and rules/ from another commit, to compare with.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "workflow"), str(ROOT / "scripts")]

from conftest import copy_project, write_config  # noqa: E402
from reruns_project import finish, many_experiments  # noqa: E402

#: Of `compare.table.COLUMNS`, which earlier revisions may not have; all others are empty.
COMPARISON = {
    **{"task": "news", "model": "tiny-mistral", "metric": "accuracy", "main": True},
    **{"higher_is_better": True, "n": 200, "unit": "examples", "clusters": 200, "differing": 40},
    **{"seeds": 1, "base": 0.5, "tuned": 0.6, "delta": 0.1, "ci_low": 0.05, "ci_high": 0.15},
    **{"p_value": 0.01, "p_is_floor": False, "adapters_p": 0.01, "adapters_p_is_floor": False},
    **{"item_se": 0.02, "item_df": 199, "method": "jackknife"},
}


def measure(name: str, project: Path, *arguments: str) -> None:
    """Print wall time, CPU time and peak memory of one call of snakemake, and its last line."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    start = time.monotonic()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, cwd=project, stdout=output, stderr=output, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        output.seek(0)
        text = output.read()
    if status:
        sys.exit(f"{name}:\n{text[-3000:]}")
    total = [line.split()[1] for line in text.splitlines() if line.startswith("total ")]
    print(
        f"{name:<58} {total[0] if total else 'no':>6} jobs {wall:6.1f} s wall "
        f"{usage.ru_utime + usage.ru_stime:6.1f} s CPU {usage.ru_maxrss / 1024:6.0f} MB",
        flush=True,
    )


def make_project(folder: Path, config: dict, revision: str | None) -> Path:
    copy_project(folder)
    if revision:
        for part in ("scripts", "rules", "Snakefile"):
            path = folder / part
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        command = ["git", "-C", str(ROOT), "archive", revision, "scripts", "rules", "Snakefile"]
        archive = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "--extract", "--directory", str(folder)], input=archive, check=True)
    write_config(folder, config)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--experiments", type=int, default=1000)
    parser.add_argument("--revision")
    options = parser.parse_args()
    # Not above: what runs dry imports this file, and is to have the modules of a project's copy.
    from deltatune.compare.table import COLUMNS

    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores")
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    many = many_experiments(yaml.safe_load((ROOT / "config.yaml").read_text()), options.experiments)
    with tempfile.TemporaryDirectory() as scratch:
        project = make_project(Path(scratch) / "default", default, options.revision)
        measure("default, nothing done yet, --dry-run", project, "--dry-run")
        finish(project)
        measure("default, finished, nothing to be done", project)
        project = make_project(Path(scratch) / "many", many, options.revision)
        count = f"{options.experiments} experiments"
        measure(f"{count}, nothing done yet, --dry-run", project, "--dry-run")
        for name in many["experiments"]:
            table = project / f"results/comparisons/{name}/news.csv"
            table.parent.mkdir(parents=True)
            row = dict.fromkeys(COLUMNS, "") | COMPARISON | {"experiment": name}
            table.write_text(f"{','.join(row)}\n{','.join(map(str, row.values()))}\n")
        measure(f"{count}, their comparisons joined", project, "results/comparison.csv")
        joined = (project / "results/comparison.csv").read_text()
        assert len(joined.splitlines()) == options.experiments + 1


if __name__ == "__main__":
    main()
