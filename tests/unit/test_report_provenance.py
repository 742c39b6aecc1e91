"""What the page says of where its figures come from is that of the jobs, not of the rendering."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from deltatune.core import paths
from deltatune.report import collect, provenance

HASHES = {"model.safetensors": "a" * 64, "tokenizer.json": "b" * 64}


def record(**job: Any) -> dict[str, Any]:
    return {
        "seconds": 1.0,
        "hashes": HASHES,
        "versions": {"python": "3.11.7"},
        "machine": "Linux x86_64",
        "job": {
            "commit": "1" * 40,
            "modified": False,
            "started": "2026-01-01T10:00:00Z",
            "ended": "2026-01-01T10:05:00Z",
            "processor": "A Processor",
            "threads": 1,
            **job,
        },
    }


@pytest.fixture
def run(tmp_path):
    """A run's manifests: provenance(changes by name of the job)."""

    def provenance(**changes: dict[str, Any]) -> dict[str, Any]:
        files = {}
        for name in ("split", "model", "seed"):
            files[name] = str(tmp_path / f"{name}.json")
            text = json.dumps(record(**changes.get(name, {})))
            (tmp_path / f"{name}.json").write_text(text)
        plan = {
            "jobs": {
                "split_dataset": {"news": files["split"]},
                "pretrain_model": {"tiny": files["model"]},
                "train_adapter": {"news, seed 1": files["seed"]},
            },
            "models": {"tiny": files["model"]},
            "experiments": {"news": {"seeds": [1], "files": {"runs": [files["seed"]]}}},
        }
        return collect.provenance(plan)

    return provenance


def test_readme_is_no_part_of_it(run, tmp_path, monkeypatch):
    """Neither an edit nor a commit of it changes what the page says of jobs that did not run."""

    def git(*arguments: str) -> None:
        name = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        command = ["git", *name, "-c", "commit.gpgsign=false", *arguments]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    readme = tmp_path / "README.md"
    readme.write_text("one\n")
    git("init", "-q")
    git("add", "README.md")
    git("commit", "-qm", "first")
    for module in (paths, collect):
        monkeypatch.setattr(module, "ROOT", tmp_path, raising=False)
    before = run()
    readme.write_text("two\n")
    edited = run()
    git("commit", "-qam", "second")
    committed = run()
    assert edited == before
    assert committed == before


def test_all_jobs_of_one_commit(run):
    shown = run(split={"started": "2026-01-01T09:59:00Z"}, seed={"ended": "2026-01-02T08:00:00Z"})
    assert shown["jobs"] == "all 3 jobs at commit 1111111111"
    assert shown["first job started"] == "2026-01-01T09:59:00Z"
    assert shown["last job ended"] == "2026-01-02T08:00:00Z"
    assert shown["processor"] == "A Processor"
    assert "gpu" not in shown
    assert shown["models"] == {"tiny": "a" * 16}
    assert shown["adapters"] == {"news, seed 1": "a" * 16}


def test_jobs_of_several_commits_are_listed_by_commit(run):
    shown = run(
        model={"processor": "Another", "gpu": "A GPU"},
        seed={"commit": "2" * 40, "modified": True},
    )
    assert shown["jobs"] == {
        "commit 1111111111": "split_dataset (1), pretrain_model (1)",
        "commit 2222222222, with modified code": "train_adapter (1)",
    }
    assert shown["processor"] == "A Processor, Another"
    assert shown["gpu"] == "A GPU"


def test_the_weights_that_systems_were_evaluated_with():
    def evaluation(used: str, reason: str, divergence: float | None = None) -> dict[str, Any]:
        facts = {"weights_used": used, "weights_reason": reason}
        if divergence is not None:
            facts["weights_divergence"] = {"kl_mean": divergence}
        return facts

    shown = provenance.evaluated(
        [
            record(),
            evaluation("quantized", "auto, without a GPU"),
            evaluation("dequantized", "a GPU", 1.5e-4),
            evaluation("dequantized", "a GPU", 2.5e-4) | {"weights_divergence": None},
            evaluation("dequantized", "a GPU", 3.5e-5),
        ]
    )
    assert shown == {
        "weights of evaluations": {
            "quantized (auto, without a GPU)": "1 evaluation",
            "dequantized (a GPU)": "3 evaluations, "
            "at most 1.5e-04 nats per token from the weights as trained",
        }
    }
    assert provenance.evaluated([record()]) == {}


def test_no_commit_where_there_is_no_checkout(run):
    none = {"commit": None, "modified": None}
    shown = run(split=none, model=none, seed=none)
    assert shown["jobs"] == ("all 3 jobs at an unknown commit: there was no git checkout")


def test_the_quantization_says_how_much_of_the_base_it_takes(tmp_path):
    path = tmp_path / "manifest.json"
    counted = {"quantized_layers": 8, "linear_layers": 10, "quantized_share": 0.136}
    published = {"published_quantization": "bitsandbytes, 4 bits, nf4"}
    words = []
    for figures in ({}, counted, published | counted, counted | {"quantized_layers": 0}):
        path.write_text(json.dumps(figures))
        words.append(collect.quantization({"quantization": "nf4", "files": {"runs": [str(path)]}}))
    assert words == [
        "nf4",
        "nf4 (8 of 10 linear layers, 14% of the parameters)",
        "nf4 (bitsandbytes, 4 bits, nf4; 8 of 10 linear layers, 14% of the parameters)",
        "nf4",
    ]
