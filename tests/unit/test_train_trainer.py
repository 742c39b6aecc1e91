import copy
import json
import os
import signal

import numpy as np
import pandas as pd
import pytest
import test_train_train
import tiny
import torch
from deltatune.core.errors import Stopped, UserError
from deltatune.models.batch import Batch
from deltatune.train import checkpoints, lora, memory, state, train
from deltatune.train.checkpoints import Checkpoints
from deltatune.train.data import Steps
from deltatune.train.trainer import AdapterTrainer
from test_train_train import hashes, rows

# Dropout, several passes over the data, an epoch's last step that is smaller than the others.
SETTINGS = {"epochs": 2, "batch_size": 2, "gradient_accumulation": 2, "evaluations": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def data():
    return rows(20), rows(6, seed=1)


@pytest.fixture
def often(monkeypatch):
    """A checkpoint at every step."""
    monkeypatch.setattr(checkpoints.SaveTimer, "expired", lambda self: True)


class Cut(BaseException):
    """The process ends here, as after SIGKILL: nothing more is written."""


def run(folder, data, output, saved=None, messages=None, **changes):
    """(files' hashes, losses, figures without times) of a run under the settings above."""
    frame, figures = test_train_train.run(
        folder,
        data,
        output,
        checkpoints=saved,
        say=(messages if messages is not None else []).append,
        **{**SETTINGS, **changes},
    )
    times = {"training_seconds", "tokens_per_second", "used"}
    return hashes(output), frame, {k: v for k, v in figures.items() if k not in times}


def cut(monkeypatch, folder, data, output, saved, step, **changes):
    """A run that dies after the step, and its checkpoint if it writes one."""
    write = AdapterTrainer.write_checkpoint

    def write_and_stop(self):
        write(self)
        if self.state.global_step == step:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(AdapterTrainer, "write_checkpoint", write_and_stop)
        with pytest.raises(Cut):
            run(folder, data, output, saved, **changes)


def assert_same(run_, expected):
    assert run_[0] == expected[0]
    pd.testing.assert_frame_equal(run_[1], expected[1], check_exact=True)
    assert run_[2] == expected[2]


def opened(path, messages=None):
    saved = Checkpoints(
        path / "checkpoints", "fingerprint", (messages if messages is not None else []).append
    )
    saved.open()
    return saved


@pytest.fixture(scope="module")
def undisturbed(folder, data, tmp_path_factory):
    return run(folder, data, tmp_path_factory.mktemp("whole") / "adapter")


def test_saving_changes_nothing(often, folder, data, tmp_path, undisturbed):
    saved = opened(tmp_path)
    assert_same(run(folder, data, tmp_path / "adapter", saved), undisturbed)
    assert len(saved.paths()) == 2


def test_a_run_that_was_cut_ends_as_one_that_was_not(
    often, monkeypatch, folder, data, tmp_path, undisturbed
):
    """At a step within an epoch, at its end, in the next one, and again after resuming."""
    assert undisturbed[2]["steps"] == 6
    saved = opened(tmp_path)
    for step in (1, 3, 4):
        cut(monkeypatch, folder, data, tmp_path / "adapter", saved, step)
        assert [saved.paths()[-1].name] == [f"step-{step:08d}"]
    messages = []
    assert_same(run(folder, data, tmp_path / "adapter", saved, messages), undisturbed)
    assert messages == ["resuming at step 4 of 6"]


@pytest.mark.parametrize(
    ("quantization", "changes"),
    [
        ("none", {"optimizer": "paged_adamw_8bit"}),
        ("nf4", {"optimizer": "paged_adamw_32bit", "gradient_accumulation": 1}),
        ("none", {"optimizer": "adafactor", "schedule": "linear", "warmup": 0.5}),
        ("nf4", {"activation_checkpointing": True, "lora": {"use_dora": True, "bias": "all"}}),
    ],
)
def test_other_optimizers_and_adapters_resume_too(
    often, monkeypatch, folder, data, tmp_path, quantization, changes
):
    changes = {"quantization": quantization, **changes}
    expected = run(folder, data, tmp_path / "whole" / "adapter", **changes)
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 2, **changes)
    assert_same(run(folder, data, tmp_path / "adapter", saved, **changes), expected)


def test_bf16_resumes_too(often, monkeypatch, folder, data, tmp_path):
    from deltatune.models import device

    half = device.Compute("cpu", torch.bfloat16, "for the test")
    monkeypatch.setattr(device, "prepare", lambda seed, threads: half)
    expected = run(folder, data, tmp_path / "whole" / "adapter")
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 3)
    assert_same(run(folder, data, tmp_path / "adapter", saved), expected)


def test_times_and_peaks_are_those_of_all_attempts(often, monkeypatch, folder, data, tmp_path):
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 3)
    path = saved.latest() / "facts.json"
    facts = json.loads(path.read_text())
    facts["run"]["seconds"] += 100
    facts["run"]["used"] |= {"peak_memory_gb": 77.0}
    path.write_text(json.dumps(facts))
    checkpoints._seal(path.parent)
    _, figures = test_train_train.run(
        folder, data, tmp_path / "adapter", checkpoints=saved, say=lambda text: None, **SETTINGS
    )
    assert 100 < figures["training_seconds"] < 160
    assert figures["used"]["peak_memory_gb"] == 77.0


# ---------------------------------------------------------------- asked to stop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_step_saves_and_says_where(
    monkeypatch, folder, data, tmp_path, undisturbed, number
):
    saved = opened(tmp_path)
    step = AdapterTrainer.training_step
    seen = []

    def signaled(self, *arguments, **keywords):
        seen.append(self.state.global_step)
        if len(seen) == 3:  # the first half of the second step
            os.kill(os.getpid(), number)
        return step(self, *arguments, **keywords)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(AdapterTrainer, "training_step", signaled)
        with pytest.raises(Stopped, match="the next run resumes at step 2 of 6"):
            run(folder, data, tmp_path / "adapter", saved)
    assert seen == [0, 0, 1, 1] and signal.getsignal(number) is before
    assert not (tmp_path / "adapter").exists()
    assert_same(run(folder, data, tmp_path / "adapter", saved), undisturbed)


def test_a_signal_during_a_measurement_does_not_wait_for_its_end(
    monkeypatch, folder, data, tmp_path, undisturbed
):
    """The losses of that step are measured by the run that resumes."""
    saved = opened(tmp_path)
    measured = []
    loss = train.mean_loss

    def signaled(model, rows_, batch_size, stop=None):
        measured.append(len(rows_))
        if len(measured) == 4:  # after step 0, the second of the two
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(model, rows_, batch_size, stop) if stop else loss(model, rows_, batch_size)

    with monkeypatch.context() as patch:
        patch.setattr(train, "mean_loss", signaled)
        with pytest.raises(Stopped, match="resumes at step 2 of 6"):
            run(folder, data, tmp_path / "adapter", saved)
    assert len(measured) == 4
    assert_same(run(folder, data, tmp_path / "adapter", saved), undisturbed)


def test_a_signal_before_the_first_step_leaves_nothing(monkeypatch, folder, data, tmp_path):
    saved = opened(tmp_path)
    loss = train.mean_loss

    def signaled(*arguments, **keywords):
        os.kill(os.getpid(), signal.SIGTERM)
        return loss(*arguments, **keywords)

    monkeypatch.setattr(train, "mean_loss", signaled)
    with pytest.raises(Stopped, match="starts at the first step"):
        run(folder, data, tmp_path / "adapter", saved)
    assert saved.latest() is None


# ---------------------------------------------------------------- what is damaged or does not fit


def test_a_checkpoint_that_cannot_be_read_gives_way_to_the_one_before(
    often, monkeypatch, folder, data, tmp_path, undisturbed
):
    messages = []
    saved = opened(tmp_path, messages)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 4)
    newest = saved.paths()[-1]
    whole = (newest / "optimizer.pt").read_bytes()
    (newest / "optimizer.pt").write_bytes(whole[: len(whole) // 2])
    assert_same(run(folder, data, tmp_path / "adapter", saved, messages), undisturbed)
    assert messages[0].startswith("The checkpoint of step 4 is not used: its file optimizer.pt is")
    assert messages[1] == "resuming at step 3 of 6"


def test_a_pickle_that_would_run_something_is_not_run(
    often, monkeypatch, folder, data, tmp_path, undisturbed
):
    messages = []
    saved = opened(tmp_path, messages)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 1)
    newest = saved.paths()[-1]

    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "harm"),)

    torch.save({"optimizer": Harm()}, newest / "optimizer.pt")
    checkpoints._seal(newest)
    assert_same(run(folder, data, tmp_path / "adapter", saved, messages), undisturbed)
    assert not (tmp_path / "harm").exists()
    assert len(messages) == 1 and "step 1 is not used: it cannot be read" in messages[0]


def test_a_smaller_batch_is_resumed(often, monkeypatch, folder, data, tmp_path):
    """Out of memory, training starts again with a smaller batch, and is cut."""
    step = AdapterTrainer.training_step

    def limited(self, model, inputs, *rest, **keywords):
        if len(inputs["labels"]) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return step(self, model, inputs, *rest, **keywords)

    monkeypatch.setattr(AdapterTrainer, "training_step", limited)
    changes = {"batch_size": 4, "gradient_accumulation": 1}
    expected = run(folder, data, tmp_path / "whole" / "adapter", **changes)
    assert expected[2]["batch_size_used"] == 2
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 2, **changes)
    messages = []
    assert_same(run(folder, data, tmp_path / "adapter", saved, messages, **changes), expected)
    assert messages == ["resuming at step 2 of 6"]


def test_rows_at_a_time_that_were_chosen_are_resumed(often, monkeypatch, folder, data, tmp_path):
    """With another job on the GPU, or another GPU, it would choose others."""
    monkeypatch.setattr(memory, "available", lambda compute, jobs: 10**12)
    expected = run(folder, data, tmp_path / "whole" / "adapter")
    assert (expected[2]["batch_size_used"], expected[2]["gradient_accumulation_used"]) == (4, 1)
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 2)
    monkeypatch.setattr(memory, "available", lambda compute, jobs: 0)
    assert_same(run(folder, data, tmp_path / "adapter", saved), expected)


def test_what_a_larger_batch_saved_is_not_resumed(
    often, monkeypatch, folder, data, tmp_path, undisturbed
):
    saved = opened(tmp_path)
    cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 2)
    fit = train.fit
    tried = []

    def limited(*arguments):
        (steps,) = (a for a in arguments if isinstance(a, Steps))
        resumed = [a.step for a in arguments if isinstance(a, state.SavedState)]
        tried.append((steps.batch, resumed))
        if steps.batch.micro_batch_size > 1:
            raise torch.OutOfMemoryError("out of memory")
        return fit(*arguments)

    monkeypatch.setattr(train, "fit", limited)
    _, frame, figures = run(folder, data, tmp_path / "adapter", saved)
    assert tried == [(Batch(2, 2), [2]), (Batch(1, 4), [])]
    assert figures["steps"] == undisturbed[2]["steps"] and frame["step"].iloc[0] == 0


def test_training_goes_on_where_no_checkpoint_can_be_written(
    often, monkeypatch, folder, data, tmp_path, undisturbed
):
    messages = []
    saved = opened(tmp_path, messages)
    monkeypatch.setattr(
        checkpoints, "_seal", lambda path: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    assert_same(run(folder, data, tmp_path / "adapter", saved), undisturbed)
    assert len(messages) == 1 and "at step 1" in messages[0] and "No space left" in messages[0]
    assert saved.paths() == []


def test_a_full_disk_is_reported_when_the_adapter_is_saved(tmp_path, monkeypatch):
    class Model:
        def save_pretrained(self, *arguments, **keywords):
            raise RuntimeError("Error while serializing: I/O error: No space left on device")

    with pytest.raises(UserError, match=r"disk is full.*last checkpoint"):
        lora.save(Model(), "base", tmp_path / "adapter")


def test_random_numbers_continue():
    import random

    random.gauss(0, 1)
    np.random.randn()
    saved = json.loads(json.dumps(state.random_state()))

    def drawn():
        return [random.gauss(0, 1), np.random.randn(), *torch.rand(3).tolist()]

    expected = drawn()
    assert drawn() != expected
    state.set_random_state(copy.deepcopy(saved))
    assert drawn() == expected
