"""What benchmarks/peers.py measures steps with, and how it sees that two sides differ."""

from __future__ import annotations

import sys

import pytest
import torch
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from peers import environments, lines, watch


def batch(*labels):
    rows = torch.tensor(labels)
    return {"input_ids": torch.ones_like(rows), "labels": rows}


def test_a_watch_counts_supervised_tokens_of_whole_steps_and_ends_the_training():
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    passes = []

    def training_step(model, inputs, count=None):
        passes.append(inputs)
        return torch.tensor(float(len(passes)))

    before = []
    observer = watch.Watch(warm=1, steps=2, before=before.append)
    step = observer.watched(training_step)
    with observer.running():
        for _ in range(10):
            # Two passes a step: of the beginning of a row no token is predicted.
            step(torch.nn.Identity(), batch([5, 5, -100, 7], [-100, -100, -100, 1]))
            step(torch.nn.Identity(), inputs=batch([-100, 4, -100, -100]))
            optimizer.step()
    assert len(passes) == 6 and len(before) == 1
    figures = observer.figures()
    assert figures["all_tokens"] == [4, 4] and len(figures["all_seconds"]) == 2
    assert figures["read_per_second"] == pytest.approx(figures["tokens_per_second"] * 3, rel=1e-3)
    # Of the two passes of the first step.
    assert figures["loss"] == 3 and len(observer.batches) == 2
    optimizer.step()
    assert figures == observer.figures()


def test_steps_that_were_not_taken_are_no_measurement():
    observer = watch.Watch(warm=1, steps=2)
    with observer.running():
        pass
    with pytest.raises(RuntimeError, match="0 of 3 steps"):
        observer.figures()


def test_the_median_of_whole_runs_after_one_that_is_not_measured(monkeypatch):
    seconds = iter([9.0, 2.0, 3.0, 1.0])
    times = []

    def run():
        times.append(next(seconds))
        return len(times)

    def timed(run):
        return run(), {"seconds": times[-1], "peak_gb": None if len(times) == 2 else times[-1]}

    monkeypatch.setattr(watch, "timed", timed)
    result, figures = watch.timed_warm(run)
    assert result == 4
    assert figures == {"seconds": 2.0, "all_seconds": [2.0, 3.0, 1.0], "peak_gb": 3.0}


def test_other_tokens_and_another_loss_are_seen():
    one = {"supervised_tokens": 100, "loss": 8.0}
    same = {"here": one, "trl": one | {"loss": 8.0001}}
    assert lines.training_differs(same, 1e-3) == []
    assert lines.training_differs({}, 1e-3) == []
    other = {"here": one, "trl": {"supervised_tokens": 99, "loss": 8.1}}
    tokens, loss = lines.training_differs(other, 1e-3)
    assert "99 supervised tokens, 100 of here" in tokens and "8.1, 8.0 of here" in loss


def test_other_labels_and_perplexities_are_seen():
    assert lines.labels_differ({"lm_eval": {"same_or_tied": 0.98}})
    assert not lines.labels_differ({"lm_eval": {"same_or_tied": 0.99}})
    here, there = {"perplexity": 30.0, "tokens": 9}, {"perplexity": 30.1, "tokens": 9}
    assert lines.perplexities_differ({"here": here, "loop": there})
    assert not lines.perplexities_differ({"here": here, "loop": here})


def test_the_table_compares_runs_with_the_same_checkpointing():
    ways = {
        f"{side}, {recomputed}": {
            "tokens_per_second": speed / (2 if recomputed else 1),
            "step_seconds": 0.5,
            "peak_gb": 10.0,
            "checkpointing": recomputed,
        }
        for side, speed in (("here", 3000.0), ("trl", 1000.0))
        for recomputed in (True, False)
    }
    assert lines.table(ways).count("3.00 x") == 2
    assert lines.table(ways).count("1.00 x") == 2


def test_a_peer_without_wheels_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no wheel in"):
        environments.environment("trl", tmp_path, tmp_path)
