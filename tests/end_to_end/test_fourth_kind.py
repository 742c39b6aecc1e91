"""A kind of task that is not shipped is one module more, from a file to the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import comprehension
import pandas as pd
import yaml
from conftest import ROOT, run_snakemake

PLACES = ["the old mill", "a narrow bridge", "the harbor", "our garden", "the station"]
THINGS = ["a lantern", "two keys", "an umbrella", "some letters", "a violin", "the map", "a coin"]


def records() -> list[dict[str, str]]:
    """One of them has an answer of more words than the task allows."""
    answered = [
        {
            "passage": f"On day {10 * i + j} they came to {place} and left {thing} there.",
            "question": f"What did they leave at {place} on day {10 * i + j}?",
            "answer": thing,
        }
        for i, place in enumerate(PLACES)
        for j, thing in enumerate(THINGS)
    ]
    return [*answered, {**answered[0], "question": "Who?", "answer": "nobody that anyone knew"}]


def test_a_fourth_kind_goes_from_file_to_report(small_run: Path, tmp_path: Path):
    project = tmp_path / "project"
    shutil.copytree(small_run, project, symlinks=True)
    shutil.copy2(comprehension.__file__, project / "scripts/deltatune/tasks")
    (project / "passages.jsonl").write_text("".join(f"{json.dumps(r)}\n" for r in records()))
    config = yaml.safe_load((project / "config.yaml").read_text())
    config["datasets"]["passages"] = {"source": "file", "path": "passages.jsonl"}
    config["tasks"]["passages"] = {
        "kind": "comprehension",
        "dataset": "passages",
        "closing": "In short:",
        "split": {"test": 10, "near_duplicates": None},
    }
    experiment = config["experiments"]["instructions-qlora"]
    config["experiments"]["passages"] = {**experiment, "task": "passages", "cross_task": []}
    config["run"] = ["passages"]
    (project / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    assert not (ROOT / "scripts/deltatune/tasks/comprehension.py").exists()

    planned = run_snakemake(project, "-n", warm=True).stdout
    assert "pretrain_model" not in planned, "the kinds that are there are not touched"
    done = run_snakemake(project, "--cores", "2", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    results = project / "results"
    split = json.loads((results / "tasks/passages/manifest.json").read_text())
    assert split["settings"]["records"]["longest_answer"] == 3
    excluded = pd.read_csv(results / "tasks/passages/excluded.csv")
    assert list(excluded["row"]) == [len(PLACES) * len(THINGS) + 1]
    for system in ("base/tiny-mistral/nf4", "tuned/passages/seed-1"):
        answers = pd.read_parquet(results / f"evaluations/test/passages/{system}/answers.parquet")
        assert len(answers) == 10
        assert answers["prompt"].str.endswith("In short:").all()
        assert set(answers["reference"]) <= set(THINGS)
    table = pd.read_csv(results / "comparison.csv")
    assert list(table["metric"]) == ["token_f1", "exact_match"]
    assert list(table["main"]) == [True, False]
    assert set(table["unit"]) == {"questions"}
    assert set(pd.read_csv(results / "baselines.csv")["unit"]) == {"questions"}
    page = (results / "report.html").read_text()
    assert "reading comprehension" in page and "On day" in page
