"""A training job that is killed goes on where it was, under the real snakemake."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import run_snakemake

RUN = "results/experiments/prose-qlora/seed-1"
TARGET = f"{RUN}/manifest.json"
CHECKPOINTS = "results/checkpoints"
RATE = 3e-4
RESULT = ("adapter/adapter_model.safetensors", "adapter.sha256", "loss.csv")


def prepared(small_run: Path, folder: Path) -> Path:
    """A copy of the finished small run that has 40 epochs to train."""
    shutil.copytree(small_run, folder, symlinks=True)
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["prose-qlora"]["training"] |= {"epochs": 40, "evaluations": 7}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    set_rate(folder, RATE)
    return folder


@pytest.fixture(scope="module")
def undisturbed(small_run, tmp_path_factory) -> Path:
    project = prepared(small_run, tmp_path_factory.mktemp("undisturbed") / "project")
    done = run_snakemake(project, "--cores", "1", TARGET, warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    return project


def results(project: Path) -> dict[str, bytes]:
    return {name: (project / RUN / name).read_bytes() for name in RESULT}


def start(project: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", "--cores", "1", TARGET],
        cwd=project,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def script_of(process: subprocess.Popen) -> int:
    """The process of the training script."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_text()
            parent = (path.parent / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        if "train_adapter.py" in command and int(parent) == process.pid:
            return int(path.parent.name)
    raise AssertionError("there is no training script")


def wait_for_checkpoint(project: Path, beyond: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        if newest(project) > beyond:
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"no checkpoint beyond step {beyond}: {process.communicate()[0][-3000:]}")


def newest(project: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    paths = project.glob(f"{CHECKPOINTS}/prose-qlora/seed-1/*/step-*")
    return max((int(path.name.removeprefix("step-")) for path in paths), default=0)


def set_rate(project: Path, rate: float) -> None:
    path = project / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["prose-qlora"]["training"]["learning_rate"] = rate
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def test_training_that_is_stopped_in_every_way(small_run, undisturbed, tmp_path):
    project = prepared(small_run, tmp_path / "project")
    # So short a training would else be over before its first checkpoint.
    module = project / "scripts/deltatune/train/checkpoints.py"
    text = module.read_text()
    shorter = {"\nRATIO = 50": "\nRATIO = 2", "MAX_INTERVAL = 2.0,": "MAX_INTERVAL = 0.0,"}
    for line, other in shorter.items():
        assert text.count(line) == 1
        text = text.replace(line, other)
    module.write_text(text)

    # Under another learning rate, everything is killed at once.
    set_rate(project, 1e-3)
    process = start(project)
    wait_for_checkpoint(project, 1, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert run_snakemake(project, "--unlock").returncode == 0
    other = next(project.glob(f"{CHECKPOINTS}/prose-qlora/seed-1/*/step-*")).parent

    # The setting is changed, training begins afresh, and Ctrl-C comes.
    set_rate(project, RATE)
    process = start(project)
    while other.exists() and process.poll() is None:
        time.sleep(0.02)
    wait_for_checkpoint(project, 5, process)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=300)[0]
    assert process.returncode != 0 and "Traceback" not in output
    assert not other.exists() and "resuming" not in output
    stopped = newest(project)
    assert f"Training was interrupted; the next run resumes at step {stopped} of" in output

    # Snakemake alone is killed; its job, which it can no longer stop, saves and ends by itself.
    process = start(project)
    wait_for_checkpoint(project, stopped, process)
    script = script_of(process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 60
    while Path(f"/proc/{script}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{script}").exists()
    assert not (project / RUN / "adapter").exists()
    assert run_snakemake(project, "--unlock").returncode == 0

    reached = newest(project)
    done = run_snakemake(project, "--cores", "1", TARGET)
    assert done.returncode == 0, done.stdout[-3000:]
    assert f"resuming at step {reached} of" in done.stdout
    assert results(project) == results(undisturbed)
    assert not (project / CHECKPOINTS).exists()
    assert {p.name for p in (project / RUN).iterdir()} == {
        p.name for p in (undisturbed / RUN).iterdir()
    }
