"""An Axolotl recipe to a config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.recipes import common
from deltatune.recipes.axolotl_datasets import Part, part
from deltatune.recipes.common import Pin
from deltatune.recipes.translation import Translation, as_list, shown

#: Field -> (key of `lora`, Axolotl's default or None).
_LORA = {
    "lora_r": ("rank", None),
    "lora_alpha": ("alpha", None),
    "lora_dropout": ("dropout", 0.0),
    "lora_modules_to_save": ("modules_to_save", None),
    "lora_rank_pattern": ("rank_pattern", None),
    "lora_alpha_pattern": ("alpha_pattern", None),
    "peft_layers_to_transform": ("layers_to_transform", None),
    "peft_use_dora": ("use_dora", None),
    "peft_use_rslora": ("use_rslora", None),
    "peft_init_lora_weights": ("init_lora_weights", None),
}
_HALF = {"bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16", "float32": "fp32"}
_WARMUP = 0.03  # Axolotl's where neither steps nor a ratio are given
_SEED = 42


def translate(t: Translation, folder: Path, pin: Pin) -> dict[str, Any]:
    """The settings. folder: where relative paths of the recipe start."""
    if isinstance(t.get("pretraining_dataset"), str):
        t.recipe["pretraining_dataset"] = [{"path": t.recipe["pretraining_dataset"]}]
    quantization = _quantization(t)
    model, model_section = common.model(t, "base_model", _revision(t), folder, pin)
    data = _datasets(t, folder, pin)
    task = {"kind": "instruct"} | data.task | {"dataset": data.name}
    task["max_length"] = t.keep("sequence_len", "max_length", t.integer("sequence_len", 512))
    _shape(t, task, data)
    experiment = {
        "model": model,
        "task": data.name,
        "quantization": quantization,
        "lora": _targets(t, common.lora(t, _LORA)),
        "training": _training(t),
    }
    return {
        "seeds": [t.keep("seed", "seeds", t.integer("seed", _SEED))],
        "datasets": {data.name: data.section},
        "models": {model: model_section},
        "tasks": {data.name: task},
        "experiments": {f"{data.name}-{'lora' if quantization == 'none' else 'qlora'}": experiment},
    }


def _revision(t: Translation) -> str:
    return "model_revision" if t.get("model_revision") else "revision_of_model"


def _quantization(t: Translation) -> str:
    """Raises no error: what cannot be is noted as a refusal."""
    adapter = t.text("adapter")
    four, eight = t.flag("load_in_4bit"), t.flag("load_in_8bit")
    if adapter not in ("lora", "qlora"):
        given = "full fine-tuning, without an adapter" if not adapter else shown(adapter)
        t.refuse("adapter", f"{given}; LoRA adapters are trained here: write lora or qlora")
    quantization = "nf4" if four else "int8" if eight else "none"
    for place in ("load_in_4bit", "load_in_8bit"):
        if t.flag(place):
            t.keep(place, "quantization", quantization)
    t.keep("adapter", "quantization", quantization)
    return quantization


def _targets(t: Translation, lora: dict[str, Any]) -> dict[str, Any]:
    targets = t.get("lora_target_modules")
    if t.flag("lora_target_linear"):
        t.answer("lora_target_modules", "lora_target_linear takes all of them")
        return lora | {"targets": t.keep("lora_target_linear", "lora.targets", "all-linear")}
    if targets == "all-linear" or (isinstance(targets, list) and targets):
        return lora | {"targets": t.keep("lora_target_modules", "lora.targets", targets)}
    if targets:
        t.refuse("lora_target_modules", "give a list of names, or all-linear; no pattern")
    return lora


def _datasets(t: Translation, folder: Path, pin: Pin) -> Part:
    places = [
        f"{key}.{number}"
        for key in ("datasets", "pretraining_dataset")
        for number in range(len(t.get(key)) if isinstance(t.get(key), list) else 0)
    ]
    if not places:
        t.refuse("datasets", "no data set is named")
        return Part("datasets.0", "data", {})
    if any(not isinstance(t.get(place), dict) for place in places):
        t.refuse("datasets", "each data set is a mapping with `path` and `type`")
        return Part("datasets.0", "data", {})
    joined = part(t, places[0], folder, pin)
    for place in places[1:]:
        _join(t, joined, part(t, place, folder, pin))
    _validation(t, joined, folder, pin)
    return joined


def _join(t: Translation, one: Part, other: Part) -> None:
    """Several files of the same records are one data set; the same one twice is one."""
    if (one.section, one.task) == (other.section, other.task):
        t.answer(f"{other.place}.path", "the same records twice; each is taken once here")
        return
    apart = one.section | {"path": None} != other.section | {"path": None} or one.task != other.task
    if apart or one.section["source"] != "file":
        t.refuse(
            f"{other.place}.path",
            f"data sets of several sources or kinds are not joined; translate one for each, or "
            f"save them as files of the same columns ({shown(one.name)} and "
            f"{shown(other.name)})",
        )
        return
    one.section["path"] = [*as_list(one.section["path"]), *as_list(other.section["path"])]


def _validation(t: Translation, data: Part, folder: Path, pin: Pin) -> None:
    """test_datasets, by which Axolotl computes the loss during training."""
    given = t.get("test_datasets")
    if not given:
        return
    if not isinstance(given, list) or len(given) != 1 or not isinstance(given[0], dict):
        t.refuse("test_datasets", "one data set, with `path` and `type`")
        return
    other = part(t, "test_datasets.0", folder, pin)
    source, rest = data.section.get("source"), ("path", "split")
    alike = all(data.section.get(k) == other.section.get(k) for k in ("source", "id", "columns"))
    if not alike or source not in ("file", "hub"):
        t.refuse(
            "test_datasets.0.path",
            "the validation set must be of the same repository, or files with the same columns",
        )
        return
    key = rest[0] if source == "file" else rest[1]
    train, validation = data.section.get(key, "train"), other.section.get(key, "train")
    if train == validation:
        t.refuse(f"test_datasets.0.{key}", "the same records as those that are trained on")
    data.section[key] = {"train": train, "validation": validation}


def _shape(t: Translation, task: dict[str, Any], data: Part) -> None:
    """The split, the special tokens and the system prompt."""
    if t.get("test_datasets"):
        t.answer("val_set_size", "test_datasets gives the validation set")
    elif (share := common.size(t, "val_set_size")) is not None:
        task["split"] = task.get("split", {}) | {"validation": share}
    tokens = t.get("special_tokens")
    if isinstance(tokens, dict) and any(v for k, v in tokens.items() if k != "pad_token"):
        t.lose("special_tokens", "the tokenizer's own are used; only padding needs none")
    system = t.text("default_system_message")
    if system and task["kind"] == "chat":
        task["system"] = t.keep("default_system_message", "tasks.NAME.system", system)
    elif system:
        t.lose("default_system_message", "a task of this kind has no system prompt without `chat`")


def _training(t: Translation) -> dict[str, Any]:
    epochs = t.number("num_epochs", 1.0)
    training: dict[str, Any] = {
        **common.duration(t, "num_epochs", 1.0),
        "learning_rate": t.keep("learning_rate", "training.learning_rate", _rate(t)),
        **common.sizes(t, "micro_batch_size", 1),
        "schedule": common.schedule(t, "lr_scheduler", "cosine"),
        "warmup": common.warmup(t, _WARMUP),
        "optimizer": common.optimizer(t, "optimizer", "adamw_torch_fused"),
        "weight_decay": t.keep(
            "weight_decay", "training.weight_decay", t.number("weight_decay", 0.0)
        ),
    }
    if total := t.integer("batch_size"):
        training["gradient_accumulation"] = max(1, round(total / training["batch_size"]))
        t.keep("batch_size", "training.gradient_accumulation", training["gradient_accumulation"])
    if norm := t.number("max_grad_norm"):
        training["max_grad_norm"] = t.keep("max_grad_norm", "training.max_grad_norm", norm)
    if (count := common.evaluations(t, epochs or 1)) is not None:
        training["evaluations"] = count
    if chosen := common.precision(t, _HALF):
        training["precision"] = chosen
    recompute = bool(t.get("gradient_checkpointing", False))
    t.keep("gradient_checkpointing", "training.activation_checkpointing", recompute)
    return training | {"activation_checkpointing": recompute}


def _rate(t: Translation) -> float | None:
    rate = t.number("learning_rate")
    if rate is None:
        t.refuse("learning_rate", "give one; Axolotl has no default")
    return rate
