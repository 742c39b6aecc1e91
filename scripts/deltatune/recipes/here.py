"""What a preset does, hyper-parameter by hyper-parameter, defaults included."""

from __future__ import annotations

from deltatune.config.model import Experiment, HubDataset, Settings, given_splits
from deltatune.tasks.base import TaskSettings

PARAMETERS = {
    "model": "model",
    "data": "data",
    "train": "training rows",
    "validation": "validation rows",
    "test": "test rows",
    "prompt": "prompt",
    "loss": "loss on",
    "packing": "packing",
    "max_length": "maximum length",
    "quantization": "quantization",
    "rank": "LoRA rank",
    "alpha": "LoRA alpha",
    "dropout": "LoRA dropout",
    "targets": "target modules",
    "bias": "biases",
    "epochs": "epochs",
    "learning_rate": "learning rate",
    "batch_size": "batch size",
    "gradient_accumulation": "gradient accumulation",
    "schedule": "schedule",
    "warmup": "warm-up",
    "optimizer": "optimizer",
    "weight_decay": "weight decay",
    "max_grad_norm": "maximum gradient norm",
    "precision": "precision",
    "checkpointing": "activation checkpointing",
    "seed": "seed",
    "decoding": "decoding",
}
"""Key -> what it is called."""


def values(settings: Settings, experiment: Experiment) -> dict[str, str]:
    """Each of PARAMETERS as an experiment of a preset has it."""
    task, training, lora = settings.tasks[experiment.task], experiment.training, experiment.lora
    model = settings.models[experiment.model]
    bits = f", {model.gptq.bits} bits" if experiment.quantization == "gptq" else ""
    return {
        "model": model.id,
        "data": _data(settings, task),
        **_rows(settings, task),
        "prompt": _prompt(task, model.chat_template is not None),
        "loss": "all of the text" if _is_on_all(task) else "the answer alone",
        "packing": "yes" if task.packing else "no",
        "max_length": str(task.max_length),
        "quantization": f"{experiment.quantization}{bits}",
        "rank": str(lora.rank),
        "alpha": f"{lora.alpha:g}",
        "dropout": f"{lora.dropout:g}",
        "targets": lora.targets if isinstance(lora.targets, str) else ", ".join(lora.targets),
        "bias": lora.bias,
        "epochs": f"{training.epochs:g}",
        "learning_rate": f"{training.learning_rate:g}",
        "batch_size": f"{training.batch_size}",
        "gradient_accumulation": str(training.gradient_accumulation),
        "schedule": training.schedule,
        "warmup": f"{training.warmup:.1%} of the steps" if training.warmup else "none",
        "optimizer": training.optimizer,
        "weight_decay": f"{training.weight_decay:g}",
        "max_grad_norm": f"{training.max_grad_norm:g}",
        "precision": training.precision,
        "checkpointing": {True: "yes", False: "no"}.get(training.activation_checkpointing, "auto"),
        "seed": ", ".join(map(str, settings.seeds)),
        "decoding": _decoding(task),
    }


def _data(settings: Settings, task: TaskSettings) -> str:
    dataset = settings.datasets[task.dataset]
    return dataset.id if isinstance(dataset, HubDataset) else dataset.url.rpartition("/")[2]


def _rows(settings: Settings, task: TaskSettings) -> dict[str, str]:
    """Of training, validation and test."""
    split, evaluation = task.split, task.evaluation
    given = given_splits(settings.datasets[task.dataset])
    count = split.train
    if count is None and split.max_records:
        count = split.max_records - int(split.test) - int(split.validation)
    prefix = "the first " if split.method == "contiguous" else ""
    if "test" in given:
        test = f"{evaluation.max_examples or 'all'} of the official test split"
    else:
        test = _size(split.test)
        test += {"random": ", drawn at random", "contiguous": ", the last"}[split.method]
    return {
        "train": f"{prefix}{count}" if count else "all others",
        "validation": _size(split.validation),
        "test": test,
    }


def _size(size: float) -> str:
    return f"{size:.0%}" if size < 1 else str(int(size))


def _prompt(task: TaskSettings, has_own_template: bool) -> str:
    if task.kind == "prose":
        return "none"
    if task.kind == "classify":
        return "its own, a space and the label"
    if task.chat is None:
        return f"template {task.prompt}"
    template = "a chat template of its own" if has_own_template else "the model's chat template"
    return f"{template}, {'with' if task.chat.system else 'without'} a system prompt"


def _is_on_all(task: TaskSettings) -> bool:
    return task.kind == "prose" or task.train_on_prompt


def _decoding(task: TaskSettings) -> str:
    if task.kind == "classify":
        return "none: the likeliest label"
    return f"greedy, {task.evaluation.max_new_tokens} tokens"
