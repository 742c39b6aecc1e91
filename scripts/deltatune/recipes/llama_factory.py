"""A LLaMA-Factory recipe to a config.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.recipes import common
from deltatune.recipes.common import Pin
from deltatune.recipes.llama_factory_datasets import Part, catalog, names, part
from deltatune.recipes.mixtures import Source, mixture, not_all, shares
from deltatune.recipes.translation import Translation, name_of, shown

_STAGES = {"sft": "supervised", "pt": "prose"}
_HALF = {"bf16": "bf16", "pure_bf16": "bf16", "fp16": "fp16"}
_SEED = 42
_INTERLEAVED = ("interleave_under", "interleave_over")
_SAMPLING = {name: name for name in ("do_sample", "temperature", "top_p", "top_k")}
#: Templates that are no chat template of a model -> the prompt of a task without `chat`.
_PROMPTS: dict[str, Any] = {
    "alpaca": "alpaca",
    "empty": "plain",
    "fewshot": "plain",
    "default": {
        "with_input": "Human: {instruction}\n{input}\nAssistant:",
        "without_input": "Human: {instruction}\nAssistant:",
    },
}


def translate(t: Translation, recipe: Path, folder: Path, pin: Pin) -> dict[str, Any]:
    """The settings. recipe: the file; folder: where relative paths of it start."""
    stage = t.text("stage", "sft")
    if stage not in _STAGES:
        t.refuse(
            "stage",
            f"{shown(stage)}: preferences and rewards are not trained here; sft and pt are; "
            "sft takes the chosen side of preference pairs, see docs/data.md",
        )
    if (kind := t.text("finetuning_type", "lora")) != "lora":
        t.refuse("finetuning_type", f"{shown(kind)}: LoRA adapters are trained; write lora")
    if not t.flag("do_train") and (t.flag("do_predict") or t.flag("do_eval")):
        t.refuse("do_train", "nothing is trained by this recipe; translate the one that trains")
    model, model_section = common.model(t, "model_name_or_path", "model_revision", folder, pin)
    data = _datasets(t, recipe, folder, pin, stage == "pt")
    name = name_of(data.name, "data")
    quantization = _quantization(t)
    task = _task(t, data, stage == "pt") | {"dataset": name}
    experiment = {
        "model": model,
        "task": name,
        "quantization": quantization,
        "lora": _lora(t),
        "training": _training(t),
    }
    return {
        "seeds": [t.keep("seed", "seeds", t.integer("seed", _SEED))],
        "datasets": data.parts | {name: data.section},
        "models": {model: model_section},
        "tasks": {name: task},
        "experiments": {f"{name}-{'lora' if quantization == 'none' else 'qlora'}": experiment},
    }


def _quantization(t: Translation) -> str:
    method = t.text("quantization_method", "bnb")
    bits = t.integer("quantization_bit")
    if bits is None:
        return "none"
    known = {4: "nf4", 8: "int8"}
    if method not in ("bnb", "bitsandbytes", "BNB") or bits not in known:
        t.refuse(
            "quantization_bit",
            f"{bits} bits by {shown(method)}; 4 or 8 by bnb are trained on here",
        )
    quantization = t.keep("quantization_bit", "quantization", known.get(bits, "nf4"))
    if bits == 4 and t.text("quantization_type", "nf4") != "nf4":
        t.lose("quantization_type", "4 bits are NF4 here")
    elif bits == 4:
        t.keep("quantization_type", "quantization", quantization)
    return quantization


def _datasets(t: Translation, recipe: Path, folder: Path, pin: Pin, prose: bool) -> Part:
    chosen = names(t, "dataset")
    if not chosen:
        t.refuse("dataset", "no data set is named")
        return Part("data", {})
    known = catalog(t, recipe, folder)
    t.answer("dataset_dir", "read; its data sets are below `datasets`")
    if t.refusals:
        return Part("data", {})
    parts = [part(t, "dataset", name, known, pin, prose) for name in dict.fromkeys(chosen)]
    t.keep("dataset", "datasets", list(dict.fromkeys(chosen)))
    joined = _joined(t, parts)
    if evaluated := names(t, "eval_dataset"):
        others = [part(t, "eval_dataset", name, known, pin, prose) for name in evaluated]
        _validation(t, joined, others)
    return joined


def _columns(part: Part) -> tuple[Any, ...]:
    return part.section.get("source"), part.section.get("columns"), part.is_chat


def _joined(t: Translation, parts: list[Part]) -> Part:
    """One data set: of several files of the same columns, or a mixture."""
    strategy = t.text("mix_strategy", "concat")
    if strategy not in _INTERLEAVED and strategy != "concat":
        t.lose("mix_strategy", f"{shown(strategy)} is not known; all records of each are taken")
    elif strategy == "concat" or len(parts) == 1:
        t.answer("mix_strategy", "all records of each")
    if len(parts) == 1:
        return parts[0]
    if strategy in _INTERLEAVED:
        if strategy == "interleave_over":
            t.lose("mix_strategy", "no record is drawn twice: it ends where a data set has no more")
        else:
            t.keep("mix_strategy", "datasets.NAME.of", "shares", "until one has no more")
        given = shares(t, "interleave_probs", len(parts)) or [1.0] * len(parts)
        return _mixed(t, parts, given)
    one = parts[0]
    alike = all(_columns(other) == _columns(one) for other in parts)
    if not alike or one.section.get("source") != "file":
        return _mixed(t, parts, None)
    one.section["path"] = [part.section["path"] for part in parts]
    counts = [part.max_records for part in parts]
    one.max_records = None if None in counts else sum(counts)
    return one


def _mixed(t: Translation, parts: list[Part], given: list[float] | None) -> Part:
    one, most = parts[0], t.integer("max_samples")
    for other in parts[1:]:
        if other.is_chat != one.is_chat:
            t.refuse(
                "dataset",
                f"{shown(one.name)} and {shown(other.name)} are of several kinds, and are not "
                "mixed; translate one for each",
            )
    counts = [min(filter(None, (most, part.max_records)), default=None) for part in parts]
    named = zip(parts, counts, strict=True)
    name, sections = mixture(
        [Source(name_of(part.name, "data"), part.section, count) for part, count in named], given
    )
    if most:
        count = sections[name].get("records")
        t.keep("max_samples", f"datasets.{name}.records", count, "refused where one has fewer")
    if given is None and None in counts:
        not_all(t, "dataset", name)
    return Part(name, sections.pop(name), one.is_chat, None, sections)


def _validation(t: Translation, data: Part, others: list[Part]) -> None:
    alike = all(_columns(data) == _columns(other) for other in others)
    source = data.section.get("source")
    if alike and source == "file":
        paths = [other.section["path"] for other in others]
        data.section["path"] = {"train": data.section["path"], "validation": paths}
        t.keep("eval_dataset", "datasets.NAME.path.validation", paths)
    elif alike and source == "hub" and data.section["id"] == others[0].section["id"]:
        split = others[0].section.get("split", "train")
        data.section["split"] = {"train": data.section.get("split", "train"), "validation": split}
        t.keep("eval_dataset", "datasets.NAME.split.validation", split)
    else:
        t.refuse(
            "eval_dataset",
            "the validation set must be of the same repository, or files with the same columns",
        )


def _task(t: Translation, data: Part, prose: bool) -> dict[str, Any]:
    kind = "prose" if prose else "chat" if data.is_chat else "instruct"
    t.keep("stage", "tasks.NAME.kind", kind)
    task: dict[str, Any] = {"kind": kind}
    task["max_length"] = t.keep("cutoff_len", "max_length", t.integer("cutoff_len", 2048))
    common.rows(t, task, "packing", "train_on_prompt", usual=prose)
    split: dict[str, Any] = {}
    most = [count for count in (t.integer("max_samples"), data.max_records) if count]
    if most and not data.parts:
        split["max_records"] = t.keep("max_samples", "split.max_records", min(most))
        if len(names(t, "dataset")) > 1:
            t.lose("max_samples", f"split.max_records: {min(most)} of all, not of each data set")
    if t.get("eval_dataset"):
        t.answer("val_size", "eval_dataset gives the validation set")
    elif (share := common.size(t, "val_size")) is not None:
        split["validation"] = share
    if split:
        task["split"] = split
    if kind == "instruct":
        task |= _prompt(t)
    elif kind == "chat":
        _chat(t, task)
    longest = "max_new_tokens" if t.get("max_new_tokens") else "generation_max_length"
    evaluation: dict[str, Any] = {}
    if kind != "prose" and (count := t.integer(longest)):
        evaluation["max_new_tokens"] = t.keep(longest, "evaluation.max_new_tokens", count)
    if kind != "prose":
        evaluation |= common.sampling(
            t, _SAMPLING, {"temperature": 0.95, "top_p": 0.7, "top_k": 50}
        )
    return task | ({"evaluation": evaluation} if evaluation else {})


def _prompt(t: Translation) -> dict[str, Any]:
    """A prompt of its own, or the model's chat template around instruction and input."""
    template, system = t.text("template"), t.text("default_system")
    if template is None or template in _PROMPTS:
        prompt = _PROMPTS[template or "empty"]
        t.keep("template", "tasks.NAME.prompt", prompt)
        if system:
            t.lose("default_system", "a prompt without `chat` has no system prompt")
        return {"prompt": prompt}
    _own_template(t, template)
    chat = {"system": t.keep("default_system", "chat.system", system)} if system else {}
    return {"chat": chat}


def _own_template(t: Translation, template: str) -> None:
    t.keep("template", "tasks.NAME.chat", {}, f"the model's own template, for {shown(template)}")
    t.to_do.append(
        f"the template was {shown(template)}; here it is the model's own: a base without one "
        "is refused, and its chat model has one"
    )


def _chat(t: Translation, task: dict[str, Any]) -> None:
    if template := t.text("template"):
        _own_template(t, template)
    if system := t.text("default_system"):
        task["system"] = t.keep("default_system", "tasks.NAME.system", system)
    if t.flag("mask_history"):
        task["learn"] = t.keep("mask_history", "tasks.NAME.learn", "last")


def _lora(t: Translation) -> dict[str, Any]:
    rank = t.integer("lora_rank", 8)
    lora = common.lora(
        t,
        {
            "lora_rank": ("rank", 8),
            "lora_alpha": ("alpha", 2 * (rank or 8)),
            "lora_dropout": ("dropout", 0.0),
            "use_rslora": ("use_rslora", None),
            "use_dora": ("use_dora", None),
        },
    )
    targets = names(t, "lora_target") or ["all"]
    chosen = "all-linear" if "all" in targets else targets
    lora["targets"] = t.keep("lora_target", "lora.targets", chosen)
    if saved := names(t, "additional_target"):
        lora["modules_to_save"] = t.keep("additional_target", "lora.modules_to_save", saved)
    return lora


def _training(t: Translation) -> dict[str, Any]:
    epochs = t.number("num_train_epochs", 3.0)
    rate, decay = t.number("learning_rate", 5e-5), t.number("weight_decay", 0.0)
    training: dict[str, Any] = {
        **common.duration(t, "num_train_epochs", 3.0),
        "learning_rate": t.keep("learning_rate", "training.learning_rate", rate),
        **common.sizes(t, "per_device_train_batch_size", 8),
        "schedule": common.schedule(t, "lr_scheduler_type", "linear"),
        "warmup": common.warmup(t, 0.0),
        "optimizer": common.optimizer(t, "optim", "adamw_torch_fused"),
        "weight_decay": t.keep("weight_decay", "training.weight_decay", decay),
    }
    training |= common.limits(t, epochs or 3, _HALF)
    recompute = not t.flag("disable_gradient_checkpointing")
    place = "disable_gradient_checkpointing"
    t.keep(place, "training.activation_checkpointing", recompute)
    for other in ("gradient_checkpointing", "activation_checkpointing"):
        t.answer(other, "disable_gradient_checkpointing decides")
    strict = "strict" if t.flag("full_determinism") else "auto"
    t.keep("full_determinism", "training.determinism", strict)
    return training | {"activation_checkpointing": recompute, "determinism": strict}
