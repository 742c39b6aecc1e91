"""An Axolotl recipe to a config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.recipes import common
from deltatune.recipes.axolotl_datasets import Part, part
from deltatune.recipes.common import Pin
from deltatune.recipes.mixtures import Source, mixture, not_all
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
#: What becomes of a record longer than a row -> `overflow`.
_OVERFLOW = {"drop": "drop", "truncate": "truncate", "raise": "refuse"}
_SAMPLING = {name: f"generation_{name}" for name in ("do_sample", "temperature", "top_p", "top_k")}
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
    common.rows(t, task, "sample_packing", "train_on_inputs", usual=False)
    _shape(t, task, data)
    if task["kind"] != "prose":
        _answers(t, task)
    else:
        t.answer("excess_length_strategy", "prose is divided into rows")
    experiment = {
        "model": model,
        "task": data.name,
        "quantization": quantization,
        "lora": _targets(t, common.lora(t, _LORA)),
        "training": _training(t),
    }
    return {
        "seeds": [t.keep("seed", "seeds", t.integer("seed", _SEED))],
        "datasets": data.parts | {data.name: data.section},
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
    if targets and isinstance(targets, str | list):
        return lora | {"targets": t.keep("lora_target_modules", "lora.targets", targets)}
    if targets:
        t.refuse("lora_target_modules", "give a list of names, all-linear or a pattern")
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
    parts: list[Part] = []
    for place in places:
        other = part(t, place, folder, pin)
        if not any(_join(t, one, other) for one in parts):
            parts.append(other)
    joined = parts[0] if len(parts) == 1 else _mixed(t, parts)
    _validation(t, joined, folder, pin)
    return joined


def _join(t: Translation, one: Part, other: Part) -> bool:
    """Several files of the same records are one data set; the same one twice is one."""
    if (one.section, one.task) == (other.section, other.task):
        t.answer(f"{other.place}.path", "the same records twice; each is taken once here")
        return True
    apart = one.section | {"path": None} != other.section | {"path": None} or one.task != other.task
    if apart or one.section.get("source") != "file":
        return False
    one.section["path"] = [*as_list(one.section["path"]), *as_list(other.section["path"])]
    return True


def _mixed(t: Translation, parts: list[Part]) -> Part:
    """Data sets of several sources, of one kind."""
    counts = [part.task.pop("split", {}).get("max_records") for part in parts]
    one = parts[0]
    for other in parts[1:]:
        if other.task != one.task:
            t.refuse(
                f"{other.place}.path",
                "data sets of several kinds or prompts are not mixed; translate one for each "
                f"({shown(one.name)} and {shown(other.name)})",
            )
    named = zip(parts, counts, strict=True)
    name, sections = mixture([Source(part.name, part.section, count) for part, count in named])
    if None in counts:
        not_all(t, f"{parts[-1].place}.path", name)
    return Part(one.place, name, sections.pop(name), one.task, sections)


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


def _answers(t: Translation, task: dict[str, Any]) -> None:
    """Records that are too long, and how answers are generated."""
    place = "excess_length_strategy"
    strategy = t.text(place, "drop")
    if strategy in _OVERFLOW:
        task["overflow"] = t.keep(place, "tasks.NAME.overflow", _OVERFLOW[strategy])
    else:
        t.lose(place, f"{shown(strategy)} is none of {', '.join(_OVERFLOW)}; see `overflow`")
    evaluation: dict[str, Any] = {}
    if count := t.integer("generation_max_new_tokens"):
        key = "evaluation.max_new_tokens"
        evaluation["max_new_tokens"] = t.keep("generation_max_new_tokens", key, count)
    evaluation |= common.sampling(t, _SAMPLING, {"temperature": 0.7, "top_p": None, "top_k": None})
    if evaluation:
        task["evaluation"] = evaluation


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
    training |= common.limits(t, epochs or 1, _HALF)
    recompute = bool(t.get("gradient_checkpointing", False))
    t.keep("gradient_checkpointing", "training.activation_checkpointing", recompute)
    return training | {"activation_checkpointing": recompute}


def _rate(t: Translation) -> float | None:
    rate = t.number("learning_rate")
    if rate is None:
        t.refuse("learning_rate", "give one; Axolotl has no default")
    return rate
