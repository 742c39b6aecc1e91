"""What the hub and an address give, through the rules: a model that loads, records, chunks."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import yaml
from conftest import ROOT, run_snakemake
from fetch_process import CANARY
from test_url import TEXT, edition


@pytest.fixture
def served(hub, tmp_path, monkeypatch) -> dict:
    """The `datasets` and `models` of a config, all of them fetched."""
    monkeypatch.syspath_prepend(ROOT / "tests/unit")
    from tiny import saved

    folder = tmp_path / "set"
    folder.mkdir()
    rows = [{"instruction": f"Say {n}", "output": str(n)} for n in range(5)]
    (folder / "train.json").write_text(json.dumps(rows))
    data = hub.add("dataset", "maker/set", folder, gated=True)
    model = hub.add("model", "maker/tiny", saved(tmp_path / "tiny"), gated=True)
    hub.accounts[CANARY] = {"maker/set", "maker/tiny"}
    hub.files["84.txt"] = edition(TEXT)
    return {
        "datasets": {
            "set": {"source": "hub", "id": "maker/set", "revision": data.commit},
            "book": {"source": "url", "url": f"{hub.url}/files/84.txt", "gutenberg": True},
        },
        "models": {"tiny": {"source": "hub", "id": "maker/tiny", "revision": model.commit}},
        "tasks": {"t": {"kind": "instruct", "dataset": "set"}},
        "experiments": {"e": {"model": "tiny", "task": "t"}},
    }


def test_rules_fetch_what_the_config_names(project, hub, served, tmp_path):
    (project / "config.yaml").write_text(yaml.safe_dump(served))
    made = [
        "results/datasets/set/records.parquet",
        "results/datasets/book/book_chunks.csv",
        "results/models/tiny/manifest.json",
    ]
    home = {"HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home"), "HF_ENDPOINT": hub.url}

    def run(**environment: str):
        return run_snakemake(project, "--cores", "1", *made, **home, **environment)

    refused = run(HF_TOKEN="")
    assert refused.returncode == 1 and "is gated" in refused.stdout
    assert "Traceback" not in refused.stdout
    done = run(HF_TOKEN=CANARY)
    assert done.returncode == 0, done.stdout
    assert pd.read_parquet(project / made[0])["output"].tolist() == list("01234")
    chapters = pd.read_csv(project / made[1], keep_default_na=False)["chapter"]
    assert chapters.unique().tolist() == ["", "Letter 1", "Letter 2", "Chapter 10"]
    files = [path for path in project.rglob("*") if path.is_file()]
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
    assert CANARY not in refused.stdout + done.stdout

    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = project / "results/models/tiny/model"
    assert AutoTokenizer.from_pretrained(folder)("a").input_ids
    assert AutoModelForCausalLM.from_pretrained(folder).config.model_type == "mistral"
