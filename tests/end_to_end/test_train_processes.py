"""Several processes that train one adapter: on the CPU, where gloo takes the place of NCCL."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import test_train_train
import tiny
import worker_program
from conftest import ROOT
from deltatune.core.errors import UserError
from deltatune.models.batch import Batch
from deltatune.tokens.shards import WEIGHTS
from deltatune.train import launch
from deltatune.train.job import Job
from deltatune.train.worker import Failed
from safetensors.torch import load_file
from test_train_train import rows, settings

SCRIPTS, UNIT = ROOT / "scripts", ROOT / "tests" / "unit"
# 10 rows in steps of 4: the last step of an epoch has padding rows.
SETTINGS = {"epochs": 2, "batch_size": 2, "gradient_accumulation": 2, "evaluations": 3}


@pytest.fixture(scope="module")
def data():
    return rows(21), rows(6, seed=1)


@pytest.fixture(scope="module")
def weighted(data):
    """The training rows with weights of classes."""
    draw = np.random.default_rng(2)
    weights = [list(draw.uniform(0.2, 4, len(row["labels"]))) for row in data[0]]
    return data[0].add_column(WEIGHTS, weights)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, data, weighted):
    folder = tmp_path_factory.mktemp("distributed")
    tiny.saved(folder / "model")
    for name, part in zip(("train", "validation", "weighted"), (*data, weighted), strict=True):
        part.save_to_disk(str(folder / name))
    return folder


def distributed(
    folder, name, rows="train", *, quantization="nf4", dropout=0.0, sharded=False, epochs=2, **rest
):
    """(losses, figures, adapter's hashes) of two processes."""
    training = {**SETTINGS, "epochs": epochs, "learning_rate": 1e-2, "gpus": 2, "sharded": sharded}
    job = Job(
        settings=settings(training, lora={"dropout": dropout}, quantization=quantization),
        model=folder / "model",
        rows={"train": folder / rows, "validation": folder / "validation"},
        output=folder / name / "adapter",
        checkpoints=folder / name / "e" / "seed-1",
        fingerprint="f",
    )
    trained = launch.run(job, **rest)
    return trained.losses, trained.figures, test_train_train.hashes(job.output)


def alone(folder, data, name, quantization):
    """(losses, adapter's folder) of one process."""
    output = folder / name / "adapter"
    losses, _ = test_train_train.run(
        folder / "model", data, output, quantization=quantization, lora={"dropout": 0}, **SETTINGS
    )
    return losses, output


def assert_close(one, other, frames):
    """Losses within 1e-4, and weights."""
    pd.testing.assert_frame_equal(*frames, check_exact=False, atol=1e-4, rtol=0)
    a, b = (load_file(path / "adapter_model.safetensors") for path in (one, other))
    assert a.keys() == b.keys()
    assert max((a[name] - b[name]).abs().max().item() for name in a) < 1e-4


@pytest.mark.parametrize(("quantization", "sharded"), [("none", False), ("nf4", True)])
def test_two_processes_have_the_losses_of_one(folder, data, weighted, quantization, sharded):
    """Rows of unequal supervised tokens, accumulation, an epoch that does not divide: the mean of
    the processes' means would be another loss. Where the base is sharded, with weights of
    classes."""
    counts = [sum(label != -100 for label in row["labels"][1:]) for row in data[0]]
    assert len(set(counts)) > 2 and len(counts) % 4
    rows, data = ("weighted", (weighted, data[1])) if sharded else ("train", data)
    losses, output = alone(folder, data, f"alone-{quantization}", quantization)
    name = f"two-{quantization}"
    own, figures, _ = distributed(folder, name, rows, quantization=quantization, sharded=sharded)
    assert_close(output, folder / name / "adapter", (own, losses))
    assert figures["processes"] == 2 and figures["steps"] == 6
    assert (figures["batch_size_used"], figures["gradient_accumulation_used"]) == (2, 1)
    assert figures["rows"] == len(data[0])


def test_two_processes_go_on_where_they_were_stopped(folder, data):
    """With dropout, for which each of them has its own random numbers. So many steps that the
    signal comes before the last one on a machine that has much else to do, too."""
    asked = {"dropout": 0.2, "epochs": 40}
    expected = distributed(folder, "whole", **asked)
    messages = []

    def progress(text):
        if text.startswith("step 2/"):
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(UserError, match=r"the next run resumes at step \d+ of 120"):
        distributed(folder, "parts", **asked, progress=progress, say=messages.append)
    assert messages == [] and not (folder / "parts" / "adapter").exists()
    resumed = distributed(folder, "parts", **asked, say=messages.append)
    assert len(messages) == 1 and messages[0].startswith("resuming at step ")
    assert resumed[2] == expected[2]
    pd.testing.assert_frame_equal(resumed[0], expected[0], check_exact=True)


# ---------------------------------------------------------------- how processes are ended


def scenario_job(scenario: str, folder: Path) -> Job:
    """For `worker_program`."""
    two = settings({"gpus": 2})
    return Job(two, folder, {}, output=folder, checkpoints=folder, fingerprint=scenario)


def programs(monkeypatch, folder, scenario, **rest):
    """launch.run with `worker_program` in place of the training."""
    monkeypatch.setattr(launch.worker, "main", worker_program.main)
    try:
        return launch.run(scenario_job(scenario, folder), **rest)
    finally:
        assert not running(folder)


def running(folder) -> list[int]:
    processes = [int(path.read_text()) for path in folder.glob("pid-*")]
    assert len(processes) == 2
    return [process for process in processes if _runs(process)]


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_all_start_again_where_one_is_out_of_memory(monkeypatch, tmp_path):
    messages = []
    trained = programs(monkeypatch, tmp_path, "out of memory", say=messages.append)
    assert trained.figures["passes"].batch == Batch(2, 4)
    assert len(messages) == 1 and "batch_size 2 and gradient_accumulation 4" in messages[0]


@pytest.mark.parametrize(
    ("scenario", "kind", "message"),
    [
        ("failed", Failed, "the second one cannot go on"),
        ("killed", UserError, "without a message"),
        ("killed while it sends", UserError, "without a message"),
    ],
)
def test_an_error_of_any_of_them_ends_all_with_one_message(
    monkeypatch, tmp_path, scenario, kind, message
):
    with pytest.raises(kind, match=message):
        programs(monkeypatch, tmp_path, scenario)


def test_a_signal_is_passed_on(monkeypatch, tmp_path):
    messages = []

    def say(text):
        if not messages:  # the second one would end this process
            os.kill(os.getpid(), signal.SIGINT)
        messages.append(text)

    with pytest.raises(UserError, match="stopped at step 3"):
        programs(monkeypatch, tmp_path, "asked", say=say)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone has it")
def test_no_process_outlives_the_one_that_waits(tmp_path):
    """Killed outright, it cannot end them: they are asked to stop, save, and end."""
    script = f"""
        from pathlib import Path
        from deltatune.train import launch
        import worker_program
        from test_train_processes import scenario_job
        launch.worker.main = worker_program.main
        job = scenario_job("forever", Path({str(tmp_path)!r}))
        launch.run(job, say=lambda text: print(text, flush=True))
    """
    path = os.pathsep.join(map(str, [SCRIPTS, ROOT / "tests", UNIT, Path(__file__).parent]))
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while running(tmp_path) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(tmp_path)
    assert {path.name for path in tmp_path.glob("saved-*")} == {"saved-0", "saved-1"}


def test_the_main_script_is_not_run_again(tmp_path):
    """Snakemake's has no `if __name__ == "__main__"`; its work would be done in each process."""
    script = tmp_path / "main.py"
    script.write_text(
        textwrap.dedent(f"""
        from pathlib import Path
        print("once", flush=True)
        from deltatune.train import launch
        import worker_program
        from test_train_processes import scenario_job
        launch.worker.main = worker_program.main
        try:
            launch.run(scenario_job("failed", Path({str(tmp_path)!r})))
        except Exception as error:
            print(error, __file__ == {str(script)!r})
        """)
    )
    path = os.pathsep.join(map(str, [SCRIPTS, ROOT / "tests", UNIT, Path(__file__).parent]))
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == ["once", "the second one cannot go on True"], done.stderr
