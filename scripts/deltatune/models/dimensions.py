"""The sizes of a model and its adapters, from its config.json alone.

Both are built on torch's meta device, where tensors have shapes and take no memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from deltatune.core.errors import UserError
from deltatune.models.settings import Lora

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ModelDimensions:
    """The sizes of a model with its adapters."""

    kind: str
    """model_type of its config."""
    parameters: int
    """Of the base."""
    linear: int
    """Those of them in linear layers that a quantization takes: all but the output layer."""
    largest_linear: int
    """Parameters of the largest of those layers."""
    trainable: int
    vocabulary: int
    model: torch.nn.Module = field(repr=False, compare=False)
    """The model with its adapters, on the meta device."""


def model_dimensions(config: Mapping[str, Any], lora: Lora, where: str) -> ModelDimensions:
    """Build the model and its adapters on the meta device and count.

    config: of config.json. where: the experiment in config.yaml, for messages. Raises UserError for
    an architecture that transformers does not know or targets that the model has not.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from deltatune.models.lora import check_layers, lora_config

    # Weights that are quantized on the hub count as if they were not.
    fields = {k: v for k, v in config.items() if k not in ("quantization_config", "auto_map")}
    try:
        typed = AutoConfig.for_model(**fields)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(typed, trust_remote_code=False)
    except (ValueError, KeyError) as error:
        raise UserError(f"{where}.model: transformers cannot build it: {error}") from None
    head = model.get_output_embeddings()
    linear = [
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    ]
    parameters = sum(p.numel() for p in model.parameters())
    check_layers(model, lora, f"{where}.lora")
    try:
        with torch.device("meta"):
            model = get_peft_model(model, lora_config(lora))
    except ValueError as error:
        raise UserError(f"{where}.lora: peft refuses these settings: {error}") from None
    return ModelDimensions(
        kind=typed.model_type,
        parameters=parameters,
        linear=sum(linear),
        largest_linear=max(linear, default=0),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        vocabulary=typed.vocab_size,
        model=model,
    )
