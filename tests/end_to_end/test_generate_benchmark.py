"""The benchmark of answers goes its whole way, at a size that a CPU can do."""

import os
import re
import subprocess
import sys

from conftest import ROOT

SCRIPT = ROOT / "benchmarks" / "generate_on_gpu.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_tuned_is_measured_against_base_with_both_kinds_of_weights(tmp_path):
    lines = ["here", "launched", "adapter", "adapter-launched", "dequantized", "merged"]
    size = ["--shape", "tiny", "--prompts", "6", "--new", "12", "--exact"]
    done = run(*reversed(lines), "--model", tmp_path / "model", *size)
    assert done.returncode == 0, done.stderr[-3000:]
    printed = {line.split()[0]: line for line in done.stdout.splitlines() if " tokens/s" in line}
    # What another is compared with stands before it, and each system is loaded once.
    assert list(printed) == lines
    used = re.findall(r"^weights: (\w+) \(", done.stdout, re.MULTILINE)
    assert used == ["quantized", "quantized", "dequantized", "dequantized"]
    assert "0 of 6 rows differ from here" in printed["launched"]
    assert "0 of 6 rows differ from adapter" in printed["adapter-launched"]
    assert re.search(r"[\d.]+ times the time of here", printed["adapter"])
    assert re.search(r"[\d.]+ times the time of dequantized", printed["merged"])
    # In fp32 they are the same numbers.
    assert "0 of 6 rows differ from here" in printed["dequantized"]
    assert "0 of 6 rows differ from adapter" in printed["merged"]


def test_a_base_that_is_not_quantized_has_no_such_lines(tmp_path):
    done = run("merged", "--quantization", "none", "--shape", "tiny", "--model", tmp_path / "model")
    assert done.returncode != 0
    assert "no such line: merged" in done.stderr
