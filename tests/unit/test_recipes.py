"""Recipes of Axolotl and LLaMA-Factory as config.yaml: own small versions of what they publish."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from deltatune.config import file as config_file
from deltatune.config.docs import page as settings_page
from deltatune.core.errors import UserError
from deltatune.recipes import docs, importing
from deltatune.recipes.axolotl_fields import AXOLOTL
from deltatune.recipes.fields import table
from deltatune.recipes.importing import PROGRAMS, Imported, import_recipe
from deltatune.recipes.llama_factory_fields import LLAMA_FACTORY
from deltatune.recipes.pins import commit_of

COMMIT = "0123456789" * 4

AXOLOTL_BASE = """
base_model: mistralai/Mistral-7B-v0.1
load_in_4bit: true
adapter: qlora
lora_r: 32
lora_alpha: 16
lora_target_linear: true
sequence_len: 8192
sample_packing: true
micro_batch_size: 2
gradient_accumulation_steps: 4
num_epochs: 2
optimizer: adamw_bnb_8bit
lr_scheduler: cosine
learning_rate: 2e-4
bf16: auto
gradient_checkpointing: true
warmup_ratio: 0.1
evals_per_epoch: 4
wandb_project:
val_set_size: 0.1
datasets:
"""
#: What follows the data sets of AXOLOTL_BASE, its lines replaced by `lines`.
AXOLOTL_DATA = {
    "alpaca": "  - {path: owner/alpaca, type: alpaca}",
    "chat_template": "  - {path: owner/chats, type: chat_template}\nchat_template: llama3",
    "sharegpt": (
        "  - path: owner/share\n    type: chat_template\n    field_messages: conversations\n"
        "    message_property_mappings: {role: from, content: value}"
    ),
    "turns": "  - {path: owner/share, type: chat_template, field_messages: turns}",
    "missing": "  - {path: data/later.jsonl, ds_type: json, type: alpaca}",
    "completion": "  - {path: owner/books, type: completion, field: content}",
    "own prompt": (
        "  - path: owner/own\n    type:\n"
        "      field_instruction: input\n      field_output: output\n"
        '      format: "[INST] {instruction} [/INST]"\n'
        '      no_input_format: "[INST] {instruction} [/INST]"'
    ),
    "subset": "  - {path: owner/many, name: part, split: 'train[:1000]', type: alpaca}",
    "two files": "  - {path: a.jsonl, type: alpaca}\n  - {path: b.jsonl, type: alpaca}",
    "own validation": (
        "  - {path: a.jsonl, type: alpaca}\ntest_datasets:\n  - {path: b.jsonl, type: alpaca}"
    ),
}
FACTORY = """
model_name_or_path: owner/Qwen-4B
trust_remote_code: true
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all
dataset: identity,alpaca_demo
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
output_dir: saves/sft
report_to: none
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
"""
INFO = {
    "identity": {"file_name": "identity.json"},
    "alpaca_demo": {"file_name": "alpaca_demo.json"},
    "alpaca_hub": {"hf_hub_url": "owner/alpaca"},
    "tools": {
        "file_name": "tools.json",
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "tools": "tools"},
    },
    "openai": {
        "file_name": "openai.json",
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user"},
    },
    "documents": {"file_name": "documents.jsonl", "columns": {"prompt": "text"}},
    "renamed": {"file_name": "renamed.csv", "columns": {"prompt": "q", "response": "a"}},
    "pairs": {"file_name": "pairs.json", "ranking": True},
    "pictures": {"file_name": "p.json", "columns": {"images": "images"}},
    "strange": {
        "file_name": "s.json",
        "formatting": "sharegpt",
        "tags": {"role_tag": "speaker"},
    },
}


def translated(folder: Path, text: str, pin=lambda kind, id, revision: COMMIT) -> Imported:
    """The recipe imported, and its text read back as snakemake would."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "dataset_info.json").write_text(json.dumps(INFO))
    for name in ("identity.json", "alpaca_demo.json", "tools.json", "openai.json", "renamed.csv"):
        (data / name).write_text("[]")
    for name in ("a.jsonl", "b.jsonl", "data/documents.jsonl"):
        (folder / name).write_text("{}\n")
    recipe = folder / "their.yaml"
    recipe.write_text(text)
    imported = import_recipe(recipe, folder, pin)
    written = folder / "mine.yaml"
    written.write_text(imported.text)
    config_file.read(written)
    assert yaml.safe_load(imported.text) == imported.config
    return imported


def only(section: dict) -> dict:
    (value,) = section.values()
    return value


def axolotl(folder: Path, data: str, **lines: str) -> Imported:
    return translated(folder, changed(AXOLOTL_BASE + AXOLOTL_DATA[data], lines))


def changed(text: str, lines: dict[str, str]) -> str:
    """Fields of the top level replaced or, with "", left out."""
    rest = [line for line in text.splitlines() if line.partition(":")[0] not in lines]
    return "\n".join([*rest, *(f"{key}: {value}" for key, value in lines.items() if value)])


def factory(folder: Path, **lines: str) -> Imported:
    return translated(folder, changed(FACTORY, lines))


# ---------------------------------------------------------------- Axolotl


def test_a_qlora_recipe_has_each_of_its_settings(tmp_path):
    config = axolotl(tmp_path, "alpaca").config
    assert config["seeds"] == [42]
    assert only(config["datasets"]) == {"source": "hub", "id": "owner/alpaca", "revision": COMMIT}
    assert only(config["tasks"]) == {
        "kind": "instruct",
        "prompt": "alpaca",
        "dataset": "alpaca",
        "max_length": 8192,
        "split": {"validation": 0.1},
        "overflow": "drop",
        "packing": True,
        "train_on_prompt": False,
    }
    assert config["experiments"]["alpaca-qlora"] == {
        "model": "Mistral-7B-v0.1",
        "task": "alpaca",
        "quantization": "nf4",
        "lora": {"rank": 32, "alpha": 16, "dropout": 0.0, "targets": "all-linear"},
        "training": {
            "epochs": 2,
            "learning_rate": 2e-4,
            "batch_size": 2,
            "gradient_accumulation": 4,
            "schedule": "cosine",
            "warmup": 0.1,
            "optimizer": "adamw_bnb_8bit",
            "weight_decay": 0.0,
            "evaluations": 8,
            "precision": "auto",
            "activation_checkpointing": True,
        },
    }


@pytest.mark.parametrize(
    ("data", "task", "dataset"),
    [
        ("chat_template", {"kind": "chat"}, {"id": "owner/chats"}),
        ("sharegpt", {"kind": "chat"}, {"id": "owner/share"}),
        ("turns", {"kind": "chat"}, {"columns": {"messages": "turns"}}),
        ("completion", {"kind": "prose"}, {"columns": {"text": "content"}}),
        (
            "own prompt",
            {
                "prompt": {
                    "with_input": "[INST] {instruction} [/INST]\n{input}",
                    "without_input": "[INST] {instruction} [/INST]",
                }
            },
            {"columns": {"instruction": "input", "output": "output"}},
        ),
        (
            "subset",
            {"split": {"max_records": 1000, "validation": 0.1}},
            {"config": "part", "split": "train"},
        ),
        ("two files", {"kind": "instruct"}, {"path": ["a.jsonl", "b.jsonl"]}),
        ("own validation", {}, {"path": {"train": "a.jsonl", "validation": "b.jsonl"}}),
    ],
)
def test_each_type_of_records_has_its_task_and_columns(tmp_path, data, task, dataset):
    config = axolotl(tmp_path, data).config
    assert only(config["tasks"]).items() >= task.items()
    assert only(config["datasets"]).items() >= dataset.items()


def test_a_column_known_by_its_name_leaves_those_beside_it_to_be_read(tmp_path):
    assert "columns" not in only(axolotl(tmp_path, "sharegpt").config["datasets"])


def test_a_file_that_is_not_there_is_no_repository(tmp_path):
    dataset = only(axolotl(tmp_path, "missing").config["datasets"])
    assert dataset == {"source": "file", "path": "data/later.jsonl"}


@pytest.mark.parametrize(
    ("lines", "key", "value"),
    [
        ("adapter: lora|load_in_4bit: |load_in_8bit: true", "quantization", "int8"),
        ("adapter: lora|load_in_4bit: ", "quantization", "none"),
        ("lora_target_linear: |lora_target_modules: [q_proj]", "lora.targets", ["q_proj"]),
        ("lora_modules_to_save: [lm_head]", "lora.modules_to_save", ["lm_head"]),
        ("bf16: false|fp16: true", "training.precision", "fp16"),
        ("gradient_checkpointing: offload", "training.activation_checkpointing", True),
        ("gradient_checkpointing: ", "training.activation_checkpointing", False),
        ("evals_per_epoch: |eval_steps: 0.25", "training.evaluations", 4),
        ("gradient_accumulation_steps: |batch_size: 16", "training.gradient_accumulation", 8),
        ("num_epochs: |evals_per_epoch: ", "training.epochs", 1.0),
        ("max_steps: -1", "training.epochs", 2),
        ("max_steps: 50|evals_per_epoch: |eval_steps: 10", "training.evaluations", 5),
        ("max_steps: 50|evals_per_epoch: ", "training.max_steps", 50),
        ("max_steps: 50|warmup_ratio: |warmup_steps: 5", "training.warmup", 0.1),
    ],
)
def test_settings_of_an_experiment(tmp_path, lines, key, value):
    fields = dict(line.split(": ") for line in lines.split("|"))
    part = only(axolotl(tmp_path, "alpaca", **fields).config["experiments"])
    for name in key.split("."):
        part = part[name]
    assert part == value


@pytest.mark.parametrize(
    ("lines", "place", "kind", "words"),
    [
        ({"lr_scheduler": "rex"}, "lr_scheduler", "lost", '"rex" is none of linear'),
        ({"optimizer": "muon"}, "optimizer", "lost", "adamw_torch instead"),
        ({"warmup_ratio": "", "warmup_steps": "10"}, "warmup_steps", "lost", "fraction"),
        ({"val_set_size": "0"}, "val_set_size", "lost", "validation set"),
        ({"train_on_inputs": "true"}, "train_on_inputs", "kept", "train_on_prompt: true"),
        ({"train_on_inputs": "false"}, "train_on_inputs", "kept", "train_on_prompt: false"),
        ({"sample_packing": "false"}, "sample_packing", "kept", "packing: false"),
        ({"neftune_noise_alpha": "5"}, "neftune_noise_alpha", "lost", "cross-entropy"),
        ({"flash_attention": "true"}, "flash_attention", "answered", "transformers"),
        ({"lora_rr": "8"}, "lora_rr", "unknown", "did you mean 'lora_r'"),
        ({"trl": "{beta: 0.1}"}, "trl", "answered", "refused"),
        ({"special_tokens": "{pad_token: x}"}, "special_tokens", "answered", "own tokenizer"),
        ({"special_tokens": "{eos_token: x}"}, "special_tokens", "lost", "the tokenizer's own"),
        ({"excess_length_strategy": "raise"}, "excess_length_strategy", "kept", '"refuse"'),
        ({"excess_length_strategy": "pad"}, "excess_length_strategy", "lost", "none of drop"),
        ({"generation_top_k": "0"}, "generation_top_k", "answered", "all tokens"),
        ({"generation_do_sample": "false"}, "generation_do_sample", "answered", "likeliest"),
    ],
)
def test_what_became_of_a_field(tmp_path, lines, place, kind, words):
    imported = axolotl(tmp_path, "alpaca", **lines)
    outcome = imported.translation.outcomes[place]
    assert outcome.kind == kind and words in outcome.text
    assert f"#   - {place}: " in imported.text


def test_every_field_of_the_file_has_its_line(tmp_path):
    for imported in (axolotl(tmp_path, "sharegpt"), factory(tmp_path)):
        program, recipe = imported.translation.program, imported.translation.recipe
        places = list(program.places(recipe))
        assert list(imported.translation.outcomes) == places
        for place in places:
            assert f"\n#   - {place}: " in imported.text
    assert "#   - datasets.0.field_messages: " in axolotl(tmp_path, "sharegpt").text


def test_what_is_not_in_the_file_is_their_default_and_listed(tmp_path):
    imported = factory(tmp_path, learning_rate="", lora_rank="")
    experiment = only(imported.config["experiments"])
    assert experiment["training"]["learning_rate"] == 5e-5
    assert experiment["lora"]["rank"] == 8 and experiment["lora"]["alpha"] == 16
    assert "#   - learning_rate: training.learning_rate: 5e-05" in imported.text


def test_samples_of_a_recipe_are_the_answers_of_the_test_set(tmp_path):
    lines = {"generation_max_new_tokens": "64", "generation_top_p": "0.9"}
    imported = axolotl(tmp_path, "alpaca", **lines)
    assert only(imported.config["tasks"])["evaluation"] == {
        "max_new_tokens": 64,
        "sampling": {"temperature": 0.7, "top_p": 0.9},
    }
    assert imported.translation.outcomes["generation_top_p"].kind == "kept"
    assert "#   - generation_temperature: evaluation.sampling.temperature: 0.7" in imported.text
    # Prose is divided into rows, and its continuations are greedy.
    prose = axolotl(tmp_path, "completion", excess_length_strategy="drop", **lines)
    assert not {"overflow", "evaluation"} & only(prose.config["tasks"]).keys()
    assert prose.translation.outcomes["excess_length_strategy"].kind == "answered"
    assert prose.translation.outcomes["generation_top_p"].kind == "lost"


def test_data_sets_of_several_sources_are_a_mixture(tmp_path):
    paths = ("owner/x", "a.jsonl", "b.jsonl")
    parts = [f"  - {{path: {path}, type: alpaca}}" for path in paths]
    imported = translated(tmp_path, AXOLOTL_BASE + "\n".join(parts))
    assert imported.config["datasets"] == {
        "x": {"source": "hub", "id": "owner/x", "revision": COMMIT},
        "a": {"source": "file", "path": ["a.jsonl", "b.jsonl"]},
        "x-mixture": {"source": "mixture", "of": {"x": 1, "a": 1}},
    }
    assert only(imported.config["tasks"])["dataset"] == "x-mixture"
    assert imported.translation.outcomes["datasets.1.path"].kind == "lost"
    assert any("datasets.x-mixture.of: write there" in line for line in imported.translation.to_do)


def test_numbers_of_records_are_the_shares(tmp_path):
    hub = "  - {path: owner/x, type: alpaca, split: 'train[:300]'}\n"
    hub += "  - {path: other/x, type: alpaca, split: 'train[:100]'}"
    imported = translated(tmp_path, AXOLOTL_BASE + hub)
    mixture = imported.config["datasets"]["x-mixture"]
    assert mixture == {"source": "mixture", "of": {"x": 300, "x-2": 100}, "records": 400}
    assert only(imported.config["tasks"])["split"] == {"validation": 0.1}
    assert imported.translation.to_do == []


# ---------------------------------------------------------------- LLaMA-Factory


@pytest.mark.parametrize(
    ("lines", "mixture", "kind"),
    [
        ({}, {"of": {"identity": 1000, "renamed": 1000}, "records": 2000}, None),
        ({"max_samples": ""}, {"of": {"identity": 1, "renamed": 1}}, None),
        (
            {"mix_strategy": "interleave_under", "interleave_probs": '"0.8, 0.2"'},
            {"of": {"identity": 0.8, "renamed": 0.2}, "records": 1250},
            "kept",
        ),
        (
            {"mix_strategy": "interleave_over", "max_samples": ""},
            {"of": {"identity": 1.0, "renamed": 1.0}},
            "lost",
        ),
    ],
)
def test_data_sets_of_other_columns_are_a_mixture(tmp_path, lines, mixture, kind):
    imported = factory(tmp_path, dataset="identity,renamed", **lines)
    datasets = imported.config["datasets"]
    assert datasets["identity-mixture"] == {"source": "mixture"} | mixture
    assert datasets["renamed"]["columns"] == {"instruction": "q", "output": "a"}
    assert "split" not in only(imported.config["tasks"])
    t = imported.translation
    assert ("mix_strategy" in t.outcomes) == (kind is not None)
    assert kind is None or t.outcomes["mix_strategy"].kind == kind
    equal = "records" not in mixture and kind is None
    assert (t.outcomes["dataset"].kind == "lost") == equal


def test_answers_are_drawn_as_the_recipe_does(tmp_path):
    evaluation = {"sampling": {"temperature": 0.95, "top_p": 0.5, "top_k": 50}}
    imported = factory(tmp_path, top_p="0.5", num_beams="4")
    assert only(imported.config["tasks"])["evaluation"] == evaluation
    assert imported.translation.outcomes["num_beams"].kind == "lost"
    for greedy in ({"do_sample": "false", "top_p": "0.5"}, {"temperature": "0"}):
        assert "evaluation" not in only(factory(tmp_path, **greedy).config["tasks"])


def test_names_of_data_sets_are_looked_up(tmp_path):
    imported = factory(tmp_path, quantization_bit="4", quantization_method="bnb")
    config = imported.config
    assert only(config["datasets"]) == {
        "source": "file",
        "path": ["data/identity.json", "data/alpaca_demo.json"],
    }
    task = only(config["tasks"])
    assert task["kind"] == "instruct" and task["chat"] == {} and task["max_length"] == 2048
    assert task["split"] == {"max_records": 1000}
    experiment = config["experiments"]["identity-qlora"]
    assert experiment["quantization"] == "nf4"
    assert experiment["lora"] == {"rank": 8, "alpha": 16, "dropout": 0.0, "targets": "all-linear"}
    assert experiment["training"]["gradient_accumulation"] == 8
    assert any("the template was" in line for line in imported.translation.to_do)
    assert imported.translation.outcomes["max_samples"].kind == "lost"  # of each of the two


@pytest.mark.parametrize(
    ("lines", "task", "dataset"),
    [
        (
            {"dataset": "tools", "mask_history": "true"},
            {"kind": "chat", "learn": "last"},
            {"columns": {"messages": "conversations", "tools": "tools"}},
        ),
        ({"dataset": "openai"}, {"kind": "chat"}, {"columns": {"messages": "messages"}}),
        ({"dataset": "documents", "stage": "pt"}, {"kind": "prose"}, {"columns": {"text": "text"}}),
        (
            {"dataset": "renamed", "template": "alpaca"},
            {"prompt": "alpaca"},
            {"columns": {"instruction": "q", "output": "a"}},
        ),
        ({"dataset": "alpaca_hub"}, {}, {"source": "hub", "id": "owner/alpaca"}),
        ({"dataset": "owner/x", "dataset_dir": "ONLINE"}, {}, {"source": "hub", "id": "owner/x"}),
        (
            {"dataset": "identity", "eval_dataset": "alpaca_demo"},
            {},
            {"path": {"train": "data/identity.json", "validation": ["data/alpaca_demo.json"]}},
        ),
    ],
)
def test_each_entry_has_its_task_and_columns(tmp_path, lines, task, dataset):
    config = factory(tmp_path, **lines).config
    assert only(config["tasks"]).items() >= task.items()
    assert only(config["datasets"]).items() >= dataset.items()


def test_the_catalog_is_found_above_the_recipe(tmp_path):
    factory(tmp_path)
    inner = tmp_path / "examples" / "train"
    inner.mkdir(parents=True)
    recipe = inner / "their.yaml"
    recipe.write_text(FACTORY)
    start = tmp_path / "elsewhere"
    start.mkdir()
    imported = import_recipe(recipe, start, lambda *asked: COMMIT)
    paths = only(imported.config["datasets"])["path"]
    assert paths[0] == str(tmp_path / "data" / "identity.json")


# ---------------------------------------------------------------- no


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"adapter": ""}, "adapter: full fine-tuning, without an adapter"),
        ({"adapter": "llama-adapter"}, 'adapter: "llama-adapter"'),
        ({"rl": "dpo"}, "rl: preferences and rewards"),
        ({"relora": "true"}, "relora: an adapter here"),
        ({"gptq": "true"}, "gptq: the base is quantized here"),
        ({"processor_type": "AutoProcessor"}, "processor_type: images"),
        ({"learning_rate": "fast"}, 'learning_rate: "fast" is not a number'),
        ({"micro_batch_size": "1.5"}, "micro_batch_size: 1.5 is not a whole number"),
        ({"learning_rate": ".inf"}, "learning_rate: Infinity is not a number"),
        ({"base_model": "[a]"}, 'base_model: ["a"] is not a text'),
        ({"lora_r": "-1"}, "experiments.alpaca-qlora.lora.rank"),
        ({"datasets": "{}"}, "datasets: no data set is named"),
        ({"datasets": "[x]"}, "each data set is a mapping"),
        ({"datasets": "[{path: owner/x, type: stars}]"}, '"stars" is not translated'),
        ({"datasets": "[{path: 's3://x/y', type: alpaca}]"}, "give a file"),
        ({"datasets": "[{path: owner/x, type: }]"}, "the records are tokens"),
        (
            {"datasets": "[{path: owner/x, type: alpaca}, {path: owner/y, type: completion}]"},
            "are not mixed",
        ),
        ({"generation_top_p": "2"}, "generation_top_p: 2 is none that tokens"),
        (
            {
                "datasets": "[{path: owner/x, type: chat_template, "
                "message_property_mappings: {role: speaker, content: value}}]"
            },
            'the key "speaker" is not known; role or from is',
        ),
        (
            {"datasets": "[{path: owner/x, type: chatml, field_chosen: good}]"},
            "preference pairs",
        ),
    ],
)
def test_axolotl_recipes_that_are_no_adapter_tuning_are_refused(tmp_path, lines, words):
    base = AXOLOTL_BASE.replace("datasets:\n", "")
    lines = {"datasets": "[{path: owner/alpaca, type: alpaca}]"} | lines
    with pytest.raises(UserError) as refused:
        translated(tmp_path, changed(base, lines))
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ({"finetuning_type": "full"}, 'finetuning_type: "full"'),
        ({"stage": "dpo"}, 'stage: "dpo": preferences and rewards'),
        ({"do_train": "", "do_predict": "true"}, "nothing is trained"),
        ({"export_dir": "x"}, "export_dir: a recipe that exports"),
        ({"adapter_name_or_path": "x"}, "begins anew"),
        ({"quantization_bit": "3", "quantization_method": "hqq"}, "4 or 8 by bnb"),
        ({"dataset": "identitty"}, "did you mean 'identity'"),
        ({"dataset": "pairs"}, "preference pairs"),
        ({"dataset": "pictures"}, "images or sound"),
        ({"dataset": "strange"}, "role_tag"),
        ({"dataset": "identity,tools"}, "are not mixed"),
        (
            {
                "dataset": "identity,renamed",
                "mix_strategy": "interleave_under",
                "interleave_probs": "0.5",
            },
            "interleave_probs: 0.5: give a number above 0 for each of the 2",
        ),
        ({"temperature": "-1"}, "temperature: -1 is none that tokens"),
        ({"dataset": "7"}, "give the names of data sets"),
        ({"dataset": "identity", "dataset_dir": "nowhere"}, "there is no dataset_info.json"),
    ],
)
def test_llama_factory_recipes_that_are_no_lora_are_refused(tmp_path, lines, words):
    with pytest.raises(UserError) as refused:
        factory(tmp_path, **lines)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("base_model: [x", "cannot be read as YAML"),
        ("- base_model: x\n", "a list"),
        ("base_model\n", "a text"),
        ("", "is empty"),
        ("base_model: x\nbase_model: y\n", "stands here a second time"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nbase_model: &c [*b, *c]\n", "inside of what it refers to"),
        ("base_model: !!python/object/apply:os.system [ls]\n", "the tag"),
        ("base_model: ${oc.env:MODEL}\n", "base_model: ${...} stands for a value"),
        ("datasets: [{path: '${HOME}/x'}]\nbase_model: x\n", "datasets.0.path: ${...}"),
        ("learning_rate: 1\n", "neither of the fields by which a recipe is known"),
        ("base_model: x\nmodel_name_or_path: x\n", "both of the fields"),
        ("datasets: {}\nmodels: {}\nexperiments: {}\n", "a config.yaml of this project already"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text, words):
    with pytest.raises(UserError) as refused:
        translated(tmp_path, text)
    assert words in str(refused.value)


def test_anchors_are_followed(tmp_path):
    text = AXOLOTL_BASE.replace("lora_r: 32", "lora_r: &rank 32").replace(
        "lora_alpha: 16", "lora_alpha: *rank"
    )
    config = translated(tmp_path, text + AXOLOTL_DATA["alpaca"]).config
    assert only(config["experiments"])["lora"]["alpha"] == 32


def test_no_text_of_a_recipe_leaves_its_comment_or_shows_a_secret(tmp_path):
    lines = {
        '"evil\\nseeds: [666]"': '"x\\nseeds: [666]\\u2028seeds: [666]\\x85y"',
        "comet_api_key": "hunter2",
        "comet_experiment_config": "{a: [{api_key: hunter2}]}",
        "mlflow_tracking_uri": "https://me:hunter2@host/path",
        "wandb_entity": "hf_hunter2hunter2",
        "wandb_name": '"a\\nb: c"',
    }
    imported = axolotl(tmp_path, "alpaca", **lines)
    assert "hunter2" not in imported.text
    assert yaml.safe_load(imported.text)["seeds"] == [42]
    comments = [line for line in imported.text.splitlines() if "666" in line]
    assert comments and all(line.startswith("#") for line in comments)


@pytest.mark.parametrize("value", [{"a": [None]}, ["x"], -1, "\0x"])
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.title)
def test_a_value_of_any_type_is_translated_or_refused(tmp_path, monkeypatch, program, value):
    translated(tmp_path, FACTORY)
    own = FACTORY if program is LLAMA_FACTORY else AXOLOTL_BASE + AXOLOTL_DATA["sharegpt"]
    refused = 0
    for name, field in program.fields.items():
        if field.status not in ("ours", "refused") or name.startswith(("test", "pre")):
            continue
        recipe = yaml.safe_load(own)
        inside, _, key = name.rpartition("[].")
        target = recipe[inside][0] if inside else recipe
        target[key] = value
        monkeypatch.setattr(importing, "read", lambda path, recipe=recipe: (program, recipe))
        try:
            imported = import_recipe(tmp_path / "their.yaml", tmp_path, lambda *asked: COMMIT)
            assert yaml.safe_load(imported.text) == imported.config
        except UserError:
            refused += 1
    assert refused > 15


# ---------------------------------------------------------------- commits, files


def test_what_is_to_be_done_before_the_run_is_named(tmp_path):
    def offline(kind: str, id: str, revision: str) -> str:
        raise UserError("no network")

    text = AXOLOTL_BASE + "  - {path: ./missing.jsonl, type: alpaca}"
    imported = translated(tmp_path, text, offline)
    to_do = "\n".join(imported.translation.to_do)
    assert "models.Mistral-7B-v0.1.revision: write a commit" in to_do and "no network" in to_do
    assert "there is no file './missing.jsonl'" in to_do
    assert imported.text.startswith("# Translated") and "# Before the run:" in imported.text


def test_a_commit_is_not_looked_up_and_offline_is_said(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert commit_of("model", "owner/x", COMMIT) == COMMIT
    with pytest.raises(UserError, match="HF_HUB_OFFLINE"):
        commit_of("model", "owner/x", "main")


def served_folder(folder: Path) -> Path:
    repository = folder / "served"
    repository.mkdir()
    (repository / "config.json").write_text("{}")
    return repository


def test_the_command_pins_writes_and_refuses(tmp_path, hub):
    recipe, written = tmp_path / "their.yaml", tmp_path / "mine.yaml"
    data = "  - {path: a.jsonl, type: alpaca}"
    recipe.write_text((AXOLOTL_BASE + data).replace("mistralai/Mistral", "maker/Mistral"))
    (tmp_path / "a.jsonl").write_text("{}\n")
    served = hub.add("model", "maker/Mistral-7B-v0.1", served_folder(tmp_path))
    environment = os.environ | {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(ROOT / "scripts" / "import_recipe.py"), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    done = run("their.yaml", "--write", "mine.yaml")
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert "0 unknown. Nothing to see to" in done.stderr
    config = yaml.safe_load(written.read_text())
    assert only(config["datasets"])["path"] == "a.jsonl"
    assert only(config["models"])["revision"] == served.commit
    again = run("their.yaml", "--write", "mine.yaml")
    assert again.returncode == 1 and "there is a mine.yaml already" in again.stderr
    assert "Traceback" not in again.stderr


# ---------------------------------------------------------------- the tables


def test_the_page_in_docs_is_that_of_the_tables(tmp_path):
    docs.write(tmp_path / "page.md")
    written = (tmp_path / "page.md").read_text(encoding="utf-8")
    hint = "run `cd scripts && python -m deltatune.recipes.docs`"
    assert docs.PAGE.read_text(encoding="utf-8") == written, hint


def test_the_tables_name_settings_that_are_there():
    page = settings_page()
    assert len(AXOLOTL.fields) > 450 and len(LLAMA_FACTORY.fields) > 350
    for program in PROGRAMS:
        for field in program.fields.values():
            if field.status == "ours":
                section, _, key = field.text.partition(".NAME.")
                assert f"| `{key or section}` |" in page, field.text
        assert program.contrary.keys() <= program.fields.keys()
        assert set(program.told_by) <= program.fields.keys()


def test_a_name_twice_is_seen():
    with pytest.raises(ValueError, match="stands twice"):
        table([("ours", "seeds", "seed"), ("none", "x", "seed")])
