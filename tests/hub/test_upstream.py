"""The workarounds of `deltatune.fetch.upstream` are still needed: each test fails when one is not.

Then the workaround can go, once that version is the oldest that requirements.txt allows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def run(tmp_path, hub):
    """Run Python code in a process with a cache of its own: (exit status, output)."""

    def run(code: str, **environment: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING"))},
                "HF_ENDPOINT": hub.url,
                "HF_HOME": str(tmp_path / "cache"),
                "HF_HUB_DISABLE_XET": "1",
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return done.returncode, done.stdout

    return run


def test_huggingface_hub_begins_an_interrupted_download_anew(run, hub, tmp_path):
    """https://github.com/huggingface/huggingface_hub/issues/4196"""
    name = "model.safetensors"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / name).write_bytes(os.urandom(3_000_000))
    repo = hub.add("model", "maker/model", tmp_path / "model")
    code = f"""
import time, huggingface_hub
time.sleep = lambda seconds: None
print(huggingface_hub.hf_hub_download("maker/model", {name!r}, revision={repo.commit!r}))
"""
    hub.cut[name] = 2_000_000
    assert run(code)[0] != 0
    hub.cut.clear()
    hub.requests.clear()
    status, output = run(code)
    assert status == 0, output
    assert [r.range for r in hub.got(name) if r.storage] == [None]


def table(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "train.jsonl").write_text(json.dumps({"text": text}) + "\n")
    return folder


def test_datasets_takes_another_revision_from_its_cache(run, hub, closed, tmp_path):
    """https://github.com/huggingface/datasets/issues/7928"""
    repo = hub.add("dataset", "maker/set", table(tmp_path / "old", "old"))
    code = f"""
import time, datasets
time.sleep = lambda seconds: None
print(datasets.load_dataset("maker/set", revision={repo.commit!r}, split="train")["text"][:])
"""
    status, output = run(code)
    assert status == 0 and "['old']" in output, output
    other = code.replace(repo.commit, "0" * 40)
    status, output = run(other, HF_ENDPOINT=closed)
    assert status == 0 and "['old']" in output, output


def test_datasets_refuses_files_on_disk_for_a_repository(run, hub, tmp_path):
    folder = tmp_path / "declared"
    folder.mkdir()
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: plain\n  sep: ';'\n"
        "  data_files: [{split: train, path: a.csv}]\n---\n"
    )
    (folder / "a.csv").write_text("label;text\n3;Chips fell\n")
    repo = hub.add("dataset", "maker/set", folder)
    status, output = run(f"""
import datasets
builder = datasets.load_dataset_builder(
    "maker/set", "plain", revision={repo.commit!r}, data_files={str(folder / "a.csv")!r}
)
print(next(iter(builder.as_streaming_dataset(split="train"))))
""")
    assert status != 0 and "Data files don't belong to maker/set" in output, output
