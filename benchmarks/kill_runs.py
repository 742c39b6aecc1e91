"""Kill runs of the pipeline at random moments, and hold what comes out against an undisturbed one.

    python benchmarks/kill_runs.py --kills 50

runs the default made small (see tests/conftest.py) once without a disturbance. Then it runs it
again from nothing, as often as it takes: each time `snakemake` is started, killed after a random
while, and started again, until it ends by itself. Five kinds of kill take turns:

    machine     SIGKILL to snakemake and every process under it, at once
    snakemake   SIGKILL to snakemake alone, the next start comes while its jobs may still live
    job         SIGKILL to one process of one job
    terminate   SIGTERM to snakemake
    interrupt   SIGINT to snakemake and every process under it, as Ctrl-C does

At the end every result must be the same byte for byte as the undisturbed run's, manifests without
their times, and nothing may be left over. A `snakemake` that stops must say what to do; what it
says of a lock is done (`snakemake --unlock`), anything else counts as a failure. Exit status 1 if
there is one.
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
import yaml
from conftest import ROOT, copy_project, small, write_config
from identity import differences, identity

KINDS = ["machine", "snakemake", "job", "terminate", "interrupt"]
MOST = 6
"""Kills of one run, after which it is left to end."""


def prepare(folder: Path, config: dict) -> Path:
    project = copy_project(folder)
    write_config(project, config)
    return project


def longer() -> dict:
    """The default made small, with trainings long enough for a kill to find a checkpoint."""
    config = small(copy.deepcopy(yaml.safe_load((ROOT / "config.yaml").read_text())))
    for experiment in config["experiments"].values():
        experiment["training"] |= {"epochs": 4, "batch_size": 2}
    return config


class Run:
    """One `snakemake` in a project."""

    def __init__(self, project: Path, cores: int, *arguments: str) -> None:
        self.output = project.parent / f"{project.name}.out"
        self._file = self.output.open("ab")
        self._from = self.output.stat().st_size
        self.process = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", str(cores), *arguments],
            cwd=project,
            stdout=self._file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
            # A shell's background jobs ignore Ctrl-C, and so would all that they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    @property
    def said(self) -> str:
        return self.output.read_bytes()[self._from :].decode(errors="replace")

    def family(self) -> list[psutil.Process]:
        """snakemake's descendants."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def kill(self, kind: str, chance: random.Random) -> str:
        """Returns what was hit, for the record."""
        family = self.family()
        jobs = [one for one in family if "/scripts/" in " ".join(command(one))]
        doing = sorted({name(one) for one in jobs})
        if kind == "job":
            if jobs:
                send(chance.choice(jobs), signal.SIGKILL)
        elif kind == "terminate":
            self.process.send_signal(signal.SIGTERM)
        elif kind == "snakemake":
            self.process.kill()
        else:
            number = signal.SIGKILL if kind == "machine" else signal.SIGINT
            self.process.send_signal(number)
            for one in family:
                send(one, number)
        return ", ".join(doing) or "snakemake alone"

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


def name(process: psutil.Process) -> str:
    """The rule of a job: its script is called tmpxyz.RULE.py."""
    script = next((part for part in command(process) if "/scripts/" in part), "?")
    return Path(script).stem.rpartition(".")[2]


def send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.Error):
        process.send_signal(number)


def disturbed(project: Path, length: float, left: int, asked, chance, record: list) -> str:
    """Run with kills until it ends by itself; "" or what was wrong. left: kills at most."""
    kills = 0
    while True:
        run = Run(project, asked.cores)
        to_come = kills < min(MOST, left)
        after = chance.uniform(1, 0.6 * length) if to_come else 20 * length + 120
        status = run.wait(after)
        if status is None and not to_come:
            run.kill("machine", chance)
            return f"it did not end within {after:.0f} s:\n{run.said[-2000:]}"
        if status is None:
            kind = KINDS[len(record) % len(KINDS)]
            hit = run.kill(kind, chance)
            kills += 1
            record.append({"kind": kind, "after": round(after, 1), "running": hit})
            print(f"{len(record):3d} {kind:10s} after {after:5.1f} s in {hit}", flush=True)
            # An asked snakemake waits for its jobs, which finish what they do.
            if run.wait(20 * length + 120) is None:
                run.kill("machine", chance)
                return f"{kind}: it did not end:\n{run.said[-2000:]}"
            if "Traceback (most recent" in run.said and kind in ("terminate", "job"):
                return f"{kind}: a traceback:\n{run.said[-3000:]}"
        elif status == 0:
            return ""
        elif "--unlock" in run.said:
            Run(project, asked.cores, "--unlock").wait(120)
            record[-1]["unlocked"] = True
        else:
            return f"it stopped with status {status}:\n{run.said[-3000:]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--against", type=Path, help="a finished project instead of a run of ours")
    parser.add_argument("--length", type=float, help="seconds that it took")
    parser.add_argument("--folder", type=Path, help="folder to work in, kept with what was wrong")
    asked = parser.parse_args()
    if bool(asked.against) != bool(asked.length):
        parser.error("--against and --length go together")
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    chance, record, faults, runs = random.Random(asked.seed), [], [], 0
    began = time.monotonic()
    calm = asked.against or prepare(folder / "undisturbed", longer())
    config = yaml.safe_load((calm / "config.yaml").read_text())
    if not asked.against:
        run = Run(calm, asked.cores)
        if run.process.wait() != 0:
            sys.exit(f"The undisturbed run failed:\n{run.said[-3000:]}")
    length, wanted = asked.length or time.monotonic() - began, identity(calm)
    print(f"undisturbed: {length:.0f} s, {len(wanted)} results", flush=True)
    while len(record) < asked.kills:
        runs += 1
        project = prepare(folder / f"run-{runs}", config)
        fault = disturbed(project, length, asked.kills - len(record), asked, chance, record)
        found = identity(project)
        bad = [fault] if fault else differences(wanted, found)
        if bad:
            faults.append({"run": runs, "kills": len(record), "what": bad[:20]})
            print(f"run {runs}: " + "\n".join(bad[:20]), flush=True)
        else:
            print(f"run {runs}: all {len(found)} results identical", flush=True)
            shutil.rmtree(project)
    figures = {
        "kills": len(record),
        "by kind": dict(Counter(entry["kind"] for entry in record)),
        "running when killed": dict(Counter(entry["running"] for entry in record).most_common()),
        "unlocked": sum("unlocked" in entry for entry in record),
        "full runs": runs,
        "results compared in each": len(wanted),
        "runs that differed or failed": len(faults),
        "faults": faults,
        "undisturbed seconds": round(length, 1),
        "seconds": round(time.monotonic() - began),
        "seed": asked.seed,
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
    }
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")
    if not asked.folder and not faults:
        shutil.rmtree(folder)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
