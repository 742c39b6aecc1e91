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
RESULT = ("adapter/adapter_model.safetensors", "adapter.sha256", "loss.csv")


def prepared(small_run: Path, folder: Path) -> Path:
    """A copy of the finished small run that has 60 epochs to train."""
    shutil.copytree(small_run, folder, symlinks=True)
    path = folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["prose-qlora"]["training"] |= {"epochs": 60, "evaluations": 7}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


@pytest.fixture(scope="module")
def undisturbed(small_run, tmp_path_factory) -> Path:
    project = prepared(small_run, tmp_path_factory.mktemp("undisturbed") / "project")
    done = run_snakemake(project, "--cores", "1", TARGET)
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
        found = project.glob(f"{CHECKPOINTS}/prose-qlora/seed-1/*/step-*")
        if any(int(path.name.removeprefix("step-")) > beyond for path in found):
            return
        time.sleep(0.02)
    process.kill()
    pytest.fail(f"no checkpoint beyond step {beyond}: {process.communicate()[0][-3000:]}")


def newest(project: Path) -> int:
    found = project.glob(f"{CHECKPOINTS}/prose-qlora/seed-1/*/step-*")
    return max(int(path.name.removeprefix("step-")) for path in found)


def test_killed_asked_and_killed_again(small_run, undisturbed, tmp_path):
    project = prepared(small_run, tmp_path / "project")
    # So short a training would else be over before its first checkpoint is due.
    module = project / "scripts/deltatune/checkpoints.py"
    text = module.read_text()
    module.write_text(
        text.replace("RATIO = 50", "RATIO = 2").replace("LEAST, MOST = 2.0", "LEAST, MOST = 0.0")
    )
    assert module.read_text() != text

    # Snakemake alone is killed; its job, which it can no longer stop, ends by itself.
    process = start(project)
    wait_for_checkpoint(project, 5, process)
    script = script_of(process)
    process.kill()
    process.communicate()
    until = time.monotonic() + 30
    while Path(f"/proc/{script}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{script}").exists()
    assert not (project / RUN / "adapter").exists()
    unlocked = run_snakemake(project, "--unlock")
    assert unlocked.returncode == 0, unlocked.stdout

    # The job is asked to stop, as SLURM asks before its time is up.
    reached = newest(project)
    process = start(project)
    wait_for_checkpoint(project, reached, process)
    os.kill(script_of(process), signal.SIGTERM)
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0
    assert f"going on at step {reached} of" in output
    stopped = newest(project)
    assert f"Training was asked to stop; the next run goes on at step {stopped} of" in output
    assert "Traceback" not in output

    # Everything is killed at once.
    process = start(project)
    wait_for_checkpoint(project, stopped, process)
    script = script_of(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    run_snakemake(project, "--unlock")

    done = run_snakemake(project, "--cores", "1", TARGET)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "going on at step" in done.stdout
    assert results(project) == results(undisturbed)
    assert not (project / CHECKPOINTS).exists()
    assert {p.name for p in (project / RUN).iterdir()} == {
        p.name for p in (undisturbed / RUN).iterdir()
    }


def test_ctrl_c_saves_and_a_changed_setting_begins_afresh(small_run, tmp_path):
    project = prepared(small_run, tmp_path / "project")
    module = project / "scripts/deltatune/checkpoints.py"
    module.write_text(module.read_text().replace("LEAST, MOST = 2.0", "LEAST, MOST = 0.0"))
    process = start(project)
    wait_for_checkpoint(project, 3, process)
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode != 0 and "the next run goes on at step" in output
    assert "Traceback" not in output
    assert len(list(project.glob(f"{CHECKPOINTS}/prose-qlora/seed-1/*/"))) == 1

    path = project / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config["experiments"]["prose-qlora"]["training"] |= {"epochs": 1, "learning_rate": 1e-3}
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    done = run_snakemake(project, "--cores", "1", TARGET)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "going on" not in done.stdout
    assert not (project / CHECKPOINTS).exists()
