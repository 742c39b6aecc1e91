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

    from deltatune.models.quantization import Layers


@dataclass(frozen=True)
class ModelDimensions:
    """The sizes of a model with its adapters."""

    kind: str
    """model_type of its config."""
    quantizable: Layers
    """The linear layers that bitsandbytes quantizes."""
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


def model_dimensions(
    config: Mapping[str, Any], lora: Lora, where: str, model_where: str = "models"
) -> ModelDimensions:
    """Build the model and its adapters on the meta device and count.

    config: of config.json. where, model_where: the experiment and its model in config.yaml, for
    messages. Raises UserError for an architecture that is not a causal language model, see
    `models.architecture`, or targets that the model has not.
    """
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    from deltatune.models.architecture import architecture
    from deltatune.models.lora import check_layers, lora_config
    from deltatune.models.quantization import layers
    from deltatune.models.upstream import can_be_quantized, weights_of

    # Weights that are quantized on the hub count as if they were not.
    fields = {key: value for key, value in config.items() if key != "quantization_config"}
    made_of = architecture(fields, model_where)
    typed = made_of.config
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(
            typed, trust_remote_code=False, attn_implementation=made_of.attention
        )
    head = built.get_output_embeddings()
    linear = [weights_of(m) for m in built.modules() if can_be_quantized(m) and m is not head]
    quantizable = layers(built, planned=True)
    parameters = sum(p.numel() for p in built.parameters())
    check_layers(built, lora, f"{where}.lora")
    try:
        with torch.device("meta"):
            with_lora = get_peft_model(built, lora_config(built, lora))
    except ValueError as error:
        raise UserError(f"{where}.lora: peft refuses these settings: {error}") from None
    return ModelDimensions(
        kind=typed.model_type,
        quantizable=quantizable,
        parameters=parameters,
        linear=sum(linear),
        largest_linear=max(linear, default=0),
        trainable=sum(p.numel() for p in with_lora.parameters() if p.requires_grad),
        vocabulary=typed.vocab_size,
        model=with_lora,
    )
