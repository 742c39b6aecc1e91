"""A recipe of another program, translated, is a config.yaml that snakemake plans."""

from __future__ import annotations

import json

from conftest import copy_project
from deltatune.recipes.importing import import_recipe
from dry_runs import dry_run

RECIPE = """
base_model: owner/Llama-8B
load_in_8bit: true
adapter: lora
lora_r: 32
lora_alpha: 16
lora_target_linear: true
chat_template: llama3
datasets:
  - path: data/chats.jsonl
    type: chat_template
    field_messages: conversations
    message_property_mappings: {role: from, content: value}
  - path: owner/chats
    type: chat_template
    field_messages: conversations
    message_property_mappings: {role: from, content: value}
excess_length_strategy: drop
generation_do_sample: true
val_set_size: 0.05
sequence_len: 4096
micro_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 0.0002
wandb_project: mine
"""


def test_an_axolotl_recipe_of_conversations_is_planned(tmp_path):
    project = copy_project(tmp_path / "project")
    turns = [{"from": "human", "value": "A?"}, {"from": "gpt", "value": "B."}]
    (project / "data" / "chats.jsonl").write_text(json.dumps({"conversations": turns}) + "\n")
    (project / "their.yaml").write_text(RECIPE)
    imported = import_recipe(project / "their.yaml", project, lambda *asked: "0" * 40)
    (project / "mine.yaml").write_text(imported.text)
    plan = dry_run(project, "--configfile", "mine.yaml")
    assert plan.status == 0, plan.text
    jobs = list(plan.jobs)
    assert any(job.startswith("train_adapter") and "mixture-qlora" in job for job in jobs), jobs
    assert any(job.startswith("mix_datasets") for job in jobs)
    assert sum(job.startswith("fetch_dataset") for job in jobs) == 2
