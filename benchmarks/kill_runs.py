"""Kill runs of the pipeline at random times, and compare the results with an uninterrupted run.

    python benchmarks/kill_runs.py --kills 50

runs a small version of the default (see tests/conftest.py) once to the end. Then it runs it again
from scratch until there were that many kills: each time `snakemake` is started, killed after a
random time and restarted, until it finishes. Five kinds of kill take turns:

    machine     SIGKILL to snakemake and all its descendants, at once
    snakemake   SIGKILL to snakemake alone; the next start comes while its jobs may still run
    job         SIGKILL to one process of one job
    terminate   SIGTERM to snakemake
    interrupt   SIGINT to snakemake and all its descendants, as Ctrl-C does

At the end every result must be byte for byte that of the uninterrupted run, manifests without their
times, with no file left over. If `snakemake` reports a lock, `snakemake --unlock` is run; any other
error counts as a failure. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import psutil
import warm_python
import yaml
from conftest import ROOT, copy_project, small, write_config
from identity import differences, identity

KINDS = ["machine", "snakemake", "job", "terminate", "interrupt"]
MAX_KILLS = 6
"""Kills of one run, after which it may finish."""


def prepare(folder: Path, config: dict) -> Path:
    project = copy_project(folder)
    write_config(project, config)
    return project


def small_config() -> dict:
    """A small default whose trainings are long enough to have a checkpoint when they are killed."""
    config = small(copy.deepcopy(yaml.safe_load((ROOT / "config.yaml").read_text())))
    for experiment in config["experiments"].values():
        experiment["training"] |= {"epochs": 4, "batch_size": 2}
    return config


class Run:
    """One `snakemake` in a project. warm: see `run_snakemake` of tests/conftest.py."""

    def __init__(self, project: Path, cores: int, *arguments: str, warm: bool = False) -> None:
        self.log = project.parent / f"{project.name}.out"
        self._file = self.log.open("ab")
        self._start = self.log.stat().st_size
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
        if warm:
            environment |= warm_python.variables(environment)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=project,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
            # A shell's background jobs ignore Ctrl-C, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    @property
    def output(self) -> str:
        """What this call has printed so far."""
        return self.log.read_bytes()[self._start :].decode(errors="replace")

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self, kind: str, rng: random.Random) -> str:
        """Returns the rules whose jobs were running."""
        processes = self.descendants()
        jobs = [process for process in processes if is_job(process)]
        rules = sorted({rule_of(job) for job in jobs})
        if kind == "job":
            if jobs:
                send(rng.choice(jobs), signal.SIGKILL)
        elif kind == "terminate":
            self.process.send_signal(signal.SIGTERM)
        elif kind == "snakemake":
            self.process.kill()
        else:
            number = signal.SIGKILL if kind == "machine" else signal.SIGINT
            self.process.send_signal(number)
            for process in processes:
                send(process, number)
        return ", ".join(rules) or "snakemake alone"

    def wait(self, seconds: float) -> int | None:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def is_job(process: psutil.Process) -> bool:
    return any("/.snakemake/scripts/" in part for part in command(process))


def rule_of(process: psutil.Process) -> str:
    """The rule of a job: its script is called tmpxyz.RULE.py."""
    script = next((part for part in command(process) if "/.snakemake/scripts/" in part), "?")
    return Path(script).stem.rpartition(".")[2]


def send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


def run_with_kills(
    project: Path, seconds: float, most: int, cores: int, rng: random.Random, log: list[dict]
) -> str:
    """Kill and restart snakemake until it finishes; returns the error or "".

    seconds: of an uninterrupted run. most: kills at most. log: gets an entry for each kill."""
    kills = 0
    while True:
        more = kills < min(MAX_KILLS, most)
        # The one that may finish starts from what the others have left, and is done sooner.
        run = Run(project, cores, warm=not more)
        timeout = rng.uniform(1, 0.6 * seconds) if more else 20 * seconds + 120
        status = run.wait(timeout)
        if status is None and not more:
            run.kill("machine", rng)
            return f"it did not finish within {timeout:.0f} s:\n{run.output[-2000:]}"
        if status is None:
            kind = KINDS[len(log) % len(KINDS)]
            rules = run.kill(kind, rng)
            kills += 1
            log.append({"kind": kind, "after": round(timeout, 1), "running": rules})
            print(f"{len(log):3d} {kind:10s} after {timeout:5.1f} s in {rules}", flush=True)
            # After SIGTERM snakemake waits for its running jobs.
            if run.wait(20 * seconds + 120) is None:
                run.kill("machine", rng)
                return f"{kind}: it did not exit:\n{run.output[-2000:]}"
            if "Traceback (most recent" in run.output and kind in ("terminate", "job"):
                return f"{kind}: a traceback:\n{run.output[-3000:]}"
        elif status == 0:
            return ""
        elif "--unlock" in run.output:
            Run(project, cores, "--unlock").wait(120)
            log[-1]["unlocked"] = True
        else:
            return f"it exited with status {status}:\n{run.output[-3000:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument(
        "--against", type=Path, help="a finished project to compare with, in place of a new run"
    )
    parser.add_argument("--length", type=float, help="seconds that this project took")
    parser.add_argument("--folder", type=Path, help="folder to work in; it is kept")
    options = parser.parse_args()
    if bool(options.against) != bool(options.length):
        parser.error("--against and --length go together")
    folder = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    rng, log, faults, runs = random.Random(options.seed), [], [], 0
    start = time.monotonic()
    reference = options.against or prepare(folder / "uninterrupted", small_config())
    config = yaml.safe_load((reference / "config.yaml").read_text())
    if not options.against:
        run = Run(reference, options.cores)
        if run.process.wait() != 0:
            sys.exit(f"The uninterrupted run failed:\n{run.output[-3000:]}")
    seconds, expected = options.length or time.monotonic() - start, identity(reference)
    print(f"uninterrupted: {seconds:.0f} s, {len(expected)} results", flush=True)
    while len(log) < options.kills:
        runs += 1
        project = prepare(folder / f"run-{runs}", config)
        most = options.kills - len(log)
        error = run_with_kills(project, seconds, most, options.cores, rng, log)
        results = identity(project)
        bad = [error] if error else differences(expected, results)
        if bad:
            faults.append({"run": runs, "kills": len(log), "what": bad[:20]})
            print(f"run {runs}: " + "\n".join(bad[:20]), flush=True)
        else:
            print(f"run {runs}: all {len(results)} results identical", flush=True)
            shutil.rmtree(project)
    figures = {
        "kills": len(log),
        "by kind": dict(Counter(entry["kind"] for entry in log)),
        "running when killed": dict(Counter(entry["running"] for entry in log).most_common()),
        "unlocked": sum("unlocked" in entry for entry in log),
        "full runs": runs,
        "results compared in each": len(expected),
        "runs that differed or failed": len(faults),
        "faults": faults,
        "uninterrupted seconds": round(seconds, 1),
        "seconds": round(time.monotonic() - start),
        "seed": options.seed,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(figures, indent=2))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if not options.folder and not faults:
        shutil.rmtree(folder)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
