"""What the run would refuse `snakemake plan` refuses before any weights are downloaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from architectures_table import build
from deltatune.core.errors import UserError
from deltatune.models import device, probes
from deltatune.models.architecture import of_folder
from deltatune.models.load import load_base
from deltatune.plan import model as planning_model
from deltatune.plan import plan as planning
from deltatune.plan.settings import Planned
from deltatune.tasks.base import lengths
from deltatune.tokens import context, vocabulary
from deltatune.tokens.tokenizer import load_tokenizer
from deltatune.train.lora import with_lora
from stage_settings import task_settings
from test_plan_plan import CONFIGS, HUB, experiment

NF4, LONG = {"quantization": "nf4"}, {"max_position_embeddings": 16}
#: Words -> (architecture of the folder, changes of its config.json, of the experiment).
REFUSED: dict[str, tuple[str, dict, dict]] = {
    "BertLMHeadModel is not causal": ("BERT", {}, {}),
    "a model of the type 't5' has an encoder": ("T5", {}, {}),
    "does not know the model_type 'llamma'": ("Llama", {"model_type": "llamma"}, {}),
    "no causal language model of the type 'vit'": ("Llama", {"model_type": "vit"}, {}),
    "nf4 quantizes none of the 8 linear layers": ("Falcon", {}, NF4),
    "cannot compute with layers in nf4": ("Mamba", {}, NF4),
    "models.m is published quantized (AWQ, 4 bits)": (
        *("Llama", {"quantization_config": {"quant_method": "awq", "bits": 4}}, NF4),
    ),
    "as-published is for weights": ("Llama", {}, {"quantization": "as-published"}),
    "tasks.news.max_length: 64 is more than the context": ("Llama", LONG, {}),
    "tasks.other.evaluation.max_new_tokens: 400 leaves no room": (
        *("Llama", {}, {"others": {"other": {"evaluation": {"max_new_tokens": 400}}}}),
    ),
    "the tokenizer has ids up to 399": ("Llama", {"vocab_size": 300}, {}),
    "no layer is called 'c_attn'": ("Llama", {}, {"lora": {"targets": ["c_attn"]}}),
    "matches the whole name of no layer": ("Llama", {}, {"lora": {"targets": "(q|v)_proj"}}),
    "no layer is called 'lm_haed' (did you": (
        *("Llama", {}, {"lora": {"modules_to_save": ["lm_haed"]}}),
    ),
}  # fmt: skip


def refusal_of_the_run(folder: Path, planned: Planned) -> str:
    """Of its jobs, in their order: what a model is fetched, tokenized and trained with."""
    tasks = {planned.task_name: planned.task, **planned.others}
    with pytest.raises(UserError) as refused:
        probes.require(of_folder(folder, "models.m"), "models.m")
        vocabulary.check(load_tokenizer(folder), context.read_config(folder), "m")
        for name, task in tasks.items():
            context.check_folder(folder, name, **lengths(task))
        compute = device.Compute("cpu", torch.float32, "")
        with_lora(load_base(folder, planned.quantization, compute), planned.lora, 0, "base")
    return str(refused.value)


@pytest.mark.parametrize("words", REFUSED)
@pytest.mark.filterwarnings("ignore")
def test_what_the_run_refuses_the_plan_refuses_in_the_same_words(tmp_path, words):
    """By config.json and the tokenizer alone: what the plan reads has no weights."""
    name, config, changes = REFUSED[words]
    folder = build(name, tmp_path / "models" / "m" / "model")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    bare = tmp_path / "bare"
    shutil.copytree(folder, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    if "others" in changes:
        asked = {n: task_settings("instruct", **task) for n, task in changes["others"].items()}
        changes = {"others": asked}
    model = {"source": "local", "path": str(bare)}
    planned = experiment(model=model, **changes)
    with pytest.raises(UserError) as refused:
        planning.row(planned, None, {}, CONFIGS, tmp_path / "none", None, print)
    # The experiment's part of a key is what its jobs do not know.
    assert words in str(refused.value)
    assert str(refused.value).removeprefix("experiments.x.") == refusal_of_the_run(folder, planned)


def test_a_tokenizer_of_the_hub_is_asked_for_with_the_config(tmp_path, monkeypatch):
    import huggingface_hub

    tiny.tokenizer().save_pretrained(tmp_path)
    asked = []

    def download(id, name, **_):
        asked.append(name)
        return str(tmp_path / name)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(planning_model, "_cached", lambda *arguments: None)
    place = planning_model.tokenizer_folder(HUB, tmp_path / "none", "the hub")
    assert place == tmp_path and asked == ["tokenizer_config.json", "tokenizer.json"]
    assert planning_model.tokenizer_folder(HUB, tmp_path / "none", "presets/configs") is None
