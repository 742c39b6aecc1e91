"""`snakemake merge`: models that plain transformers loads and that answer as what was evaluated."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import copy_project, run_snakemake, small, write_config
from deltatune.evaluate.generate import answer
from deltatune.models.device import Compute
from deltatune.models.load import load_system
from deltatune.tokens.tokenizer import load_tokenizer

EXPERIMENTS = ("instructions-qlora", "prose-qlora", "news-qlora")

# All that a user of the merged model has: transformers and the folder.
PLAIN = """
import sys, numpy, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
folder, prompts, logits = sys.argv[1], sys.argv[2], sys.argv[3]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder)
assert not any(name.startswith(("deltatune", "peft", "bitsandbytes")) for name in sys.modules)
assert model.dtype is torch.bfloat16, model.dtype
for number, prompt in enumerate(open(prompts, encoding="utf-8").read().split("\\0")):
    text = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[tokenizer.bos_token_id, *text]])
    with torch.no_grad():
        numpy.save(f"{logits}{number}.npy", model(ids).logits[0].float().numpy())
        made = model.generate(ids, max_new_tokens=8)[0, ids.shape[1]:]
    print(tokenizer.decode(made, skip_special_tokens=True), end="\\0")
"""


@pytest.fixture(scope="module")
def merged(small_run: Path, tmp_path_factory) -> Path:
    """A copy of the finished run with every experiment merged."""
    project = tmp_path_factory.mktemp("merge") / "project"
    shutil.copytree(small_run, project, symlinks=True)
    done = run_snakemake(project, "--cores", "1", "merge", warm=True)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "nats per token from what was evaluated" in done.stdout
    return project


def test_each_experiment_has_a_model_and_only_that_was_made(merged):
    for experiment in EXPERIMENTS:
        folder = merged / "results/merged" / experiment / "seed-1"
        assert (folder / "model/model.safetensors").is_file()
        record = json.loads((folder / "manifest.json").read_text())
        assert 0 < record["divergence"]["kl_mean"] < 1e-3
        assert record["divergence"]["within_limit"] is True
        assert record["divergence"]["tokens"] > 300
        assert record["dtype"] == "torch.bfloat16"
    again = run_snakemake(merged, "--cores", "1", "merge", warm=True)
    assert "Nothing to be done" in again.stdout


def test_the_hashes_are_those_of_the_files(merged):
    folder = merged / "results/merged/news-qlora/seed-1"
    done = subprocess.run(["sha256sum", "-c", "merged.sha256"], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stdout


def test_plain_transformers_answers_as_the_adapter_on_its_base(merged, tmp_path):
    results = merged / "results"
    answers = pd.read_parquet(
        results / "evaluations/test/instructions/tuned/instructions-qlora/seed-1/answers.parquet"
    )
    prompts = answers["prompt"].tolist()[:6]
    (tmp_path / "prompts").write_text("\0".join(prompts), encoding="utf-8")
    folder = results / "merged/instructions-qlora/seed-1/model"
    done = subprocess.run(
        [sys.executable, "-c", PLAIN, folder, tmp_path / "prompts", f"{tmp_path}/logits"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    plain = done.stdout.split("\0")[:-1]

    machine = Compute("cpu", torch.float32, "a test")
    base = results / "models/tiny-mistral/model"
    adapter = results / "experiments/instructions-qlora/seed-1/adapter"
    tokenizer = load_tokenizer(base)
    system = load_system(base, "nf4", machine, adapter)
    expected = answer(system, tokenizer, prompts, max_new_tokens=8, batch_size=1)
    alike = [a == b.text for a, b in zip(plain, expected, strict=True)]
    # bf16 may turn one near-tie; the evaluation's own answers are the same ones.
    assert sum(alike) >= len(alike) - 1, list(zip(plain, expected, strict=True))
    for number, prompt in enumerate(prompts):
        ids = [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False)["input_ids"]]
        with torch.no_grad():
            ours = system(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
        theirs = torch.from_numpy(np.load(f"{tmp_path}/logits{number}.npy"))
        p, q = ours.double().log_softmax(-1), theirs.double().log_softmax(-1)
        assert float((p.exp() * (p - q)).sum(-1).mean()) < 1e-3


def test_another_seed_is_asked_for_by_its_path(merged):
    path = "results/merged/news-qlora/seed-5/manifest.json"
    planned = run_snakemake(merged, "-n", path, warm=True)
    assert planned.returncode == 0, planned.stdout
    table = planned.stdout.split("Job stats:")[1].split("\n\n")[0]
    jobs = {line.split()[0] for line in table.splitlines()[3:]}
    assert jobs == {"train_adapter", "merge_adapter", "total"}


def test_a_gptq_experiment_is_refused_before_anything_is_trained(tmp_path, default_config):
    project = copy_project(tmp_path / "project")
    config = small(default_config)
    config["run"] = ["news-qlora"]
    config["experiments"]["news-qlora"]["quantization"] = "gptq"
    model = config["models"]["tiny-mistral"]
    model["gptq"] = {"calibration": "news", "group_size": 32}
    model["architecture"] |= {"hidden_size": 64, "intermediate_size": 96}
    write_config(project, config)
    done = run_snakemake(project, "--cores", "1", "merge", warm=True)
    assert done.returncode == 1
    assert "experiments.news-qlora.quantization: gptq" in done.stdout, done.stdout
    assert "cannot be merged" in done.stdout
    assert "Traceback" not in done.stdout, done.stdout
    assert not (project / "results/models").exists()


def test_a_change_of_the_tuning_merges_again(merged, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(merged, project, symlinks=True)
    path = project / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for experiment in config["experiments"].values():
        experiment["training"] = dict(experiment["training"])
    config["experiments"]["news-qlora"]["training"]["epochs"] = 2
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    planned = run_snakemake(project, "-n", "merge", warm=True).stdout
    table = planned.split("Job stats:")[1].split("\n\n")[0]
    jobs = {line.split()[0]: int(line.split()[1]) for line in table.splitlines()[3:]}
    assert jobs == {"train_adapter": 1, "merge_adapter": 1, "merge": 1, "total": 3}
