"""The benchmark of training goes its whole way, at a size that a CPU can do."""

import json
import os
import subprocess
import sys

from conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "train_mistral_7b.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_tiny_size_trains_and_plans(tmp_path):
    out = tmp_path / "figures.json"
    done = run("--size", "tiny", "--steps", "8", "--checkpointing", "on", "--json", str(out))
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(out.read_text())
    assert figures["device"] == "cpu" and figures["dtype"] == "torch.float32"
    assert figures["batch_size_used"] == 4 and figures["activation_checkpointing_used"]
    # 2 blocks of 64 x 128 with grouped keys and values, 512 tokens in and out.
    assert figures["parameters"] == 139584
    assert figures["planned_allocated_gb"] > figures["planned_weights_gb"] > 0
    assert figures["tokens_per_second"] > 0


def test_the_full_size_is_refused_without_a_gpu():
    done = run()
    assert done.returncode != 0
    assert "needs a GPU" in done.stderr
