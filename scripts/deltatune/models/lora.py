"""peft's configuration of a LoRA adapter, from the settings, and the layers that it names."""

from __future__ import annotations

import re
from typing import Any

from peft import LoraConfig
from peft.tuners.lora import LoraLayer

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean
from deltatune.models import upstream
from deltatune.models.quantization import gptq_layers
from deltatune.models.settings import ALL_LINEAR, Lora

_NAMES = {
    "rank": "r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "targets": "target_modules",
}
"""Fields of `Lora` that peft calls otherwise."""


def lora_config(
    model: Any, lora: Lora, base: str | None = None, revision: str | None = None
) -> LoraConfig:
    """peft's configuration of these settings for a model.

    base: what the adapter names as its base, a path or hub id. revision: of the hub id.
    """
    fields = {_NAMES.get(key, key): value for key, value in lora.model_dump().items()}
    fields["target_modules"] = _targets(model, lora)
    return LoraConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=base, revision=revision, **fields
    )


def _targets(model: Any, lora: Lora) -> str | list[str]:
    """`lora.targets` for peft, which finds no layer of GPTQ under `all-linear`, and some of other
    models that it then refuses to adapt, and which takes no word for layers of some blocks."""
    if lora.targets != ALL_LINEAR:
        return lora.targets
    quantized, refused = gptq_layers(model), upstream.refused_by_peft(model)
    if not quantized and not refused and not lora.layers_to_transform:
        return lora.targets
    head = model.get_output_embeddings()
    linear = [n for n, m in model.named_modules() if upstream.is_linear(m) and m is not head]
    return sorted({_last(name) for name in (quantized or linear)} - refused)


def compute_as_trained(model: Any) -> None:
    """Let an adapter beside a base in 16 bits multiply in 16 bits, as autocast lets it in training.

    An adapter is saved in fp32, and peft 0.21 takes activations to fp32 for it and back: on an H100
    a 7B took 1.4 times as long for its answers with one. DoRA, which divides by norms of its
    weights, and adapters of embeddings stay as they are.
    """
    for layer in model.modules():
        if isinstance(layer, LoraLayer) and not layer.lora_magnitude_vector:
            for product in (*layer.lora_A.values(), *layer.lora_B.values()):
                product.to(model.dtype)


def check_layers(model: Any, lora: Lora, where: str = "lora") -> None:
    """Raise UserError for a name in the settings that no layer of the model has, with the names
    that there are. peft goes on where only some of them are wrong.

    where: the settings in config.yaml, for the message.
    """
    modules = dict(model.named_modules())
    layers = list(dict.fromkeys(_last(name) for name, m in modules.items() if _is_layer(m)))
    listed = f"The layers of this model are {', '.join(layers)}."
    pattern = lora.targets if isinstance(lora.targets, str) else ".*"
    if pattern != ALL_LINEAR and not any(re.fullmatch(pattern, name) for name in modules):
        raise UserError(
            f"{where}.targets: '{pattern}' matches the whole name of no layer, such as "
            f"{[*modules][-1]}. {listed}"
        )
    wanted = {"targets": lora.targets, "modules_to_save": lora.modules_to_save}
    for key, given in wanted.items():
        for name in given if isinstance(given, list) else ():
            if not any(_is_called(other, name) for other in modules):
                raise UserError(
                    f"{where}.{key}: no layer is called '{name}'{did_you_mean(name, layers)}. "
                    f"{listed} targets: all-linear takes every linear one but the output layer."
                )
    for name in (chosen := _chosen(model, lora.targets)):
        if not _is_layer(modules[name]):
            raise UserError(
                f"{where}.targets: '{name}' is no linear layer or embedding, so no adapter can "
                f"stand beside it. {listed}"
            )
    _check_patterns(chosen, lora, where)


def _chosen(model: Any, targets: str | list[str]) -> list[str]:
    """Whole names of what `lora.targets` names."""
    modules = {name: module for name, module in model.named_modules() if name}
    if targets == ALL_LINEAR:
        others = (model.get_input_embeddings(), model.get_output_embeddings())
        return [n for n, m in modules.items() if _is_layer(m) and m not in others]
    if isinstance(targets, str):
        return [name for name in modules if re.fullmatch(targets, name)]
    return [name for name in modules if any(_is_called(name, target) for target in targets)]


def _check_patterns(chosen: list[str], lora: Lora, where: str) -> None:
    """Ranks, alphas and blocks of layers that are no targets, which peft ignores. chosen: whole
    names of the targets."""
    names = list(dict.fromkeys(map(_last, chosen)))
    for key, patterns in (
        ("rank_pattern", lora.rank_pattern),
        ("alpha_pattern", lora.alpha_pattern),
    ):
        for pattern in patterns:
            # As peft compares them.
            if not any(re.match(rf"(.*\.)?({pattern})$", name) for name in chosen):
                raise UserError(
                    f"{where}.{key}: '{pattern}' is none of the target layers"
                    f"{did_you_mean(pattern, names)}. They are {', '.join(names)}."
                )
    # The index of a block, as peft reads it.
    indices = (re.match(r".*\.[^.]*\.(\d+)\.", name) for name in chosen)
    blocks = {int(match[1]) for match in indices if match}
    for index in lora.layers_to_transform or ():
        if index not in blocks:
            there = f"they are {min(blocks)} to {max(blocks)}" if blocks else "they are in none"
            raise UserError(
                f"{where}.layers_to_transform: the model has no block {index} with target layers; "
                f"{there}."
            )


def _is_called(name: str, ending: str) -> bool:
    return name == ending or name.endswith(f".{ending}")


def _last(name: str) -> str:
    return name.rpartition(".")[2]


# GPT-2 has `nf` outputs in a class of its own; a convolution is one of Mamba.
_SIZES = ("in_features", "nf", "num_embeddings", "in_channels")


def _is_layer(module: Any) -> bool:
    """Whether an adapter can stand beside it: a linear layer, quantized or not, or embeddings."""
    return any(hasattr(module, size) for size in _SIZES)
