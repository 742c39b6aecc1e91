"""Quantized weights as plain numbers, and an adapter added to them."""

from __future__ import annotations

from pathlib import Path

from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from deltatune.core.errors import UserError
from deltatune.models.tied import untie_changed


def dequantize(model: PreTrainedModel) -> PreTrainedModel:
    """A base of bitsandbytes with the numbers that its packed weights stand for, in the precision
    that it computes in: those that it multiplies by, not those that it was quantized from."""
    model = model.dequantize()
    # transformers leaves these as they were.
    model.is_loaded_in_4bit = model.is_loaded_in_8bit = False
    return model.requires_grad_(False).eval()


def merge_adapter(model: PreTrainedModel, adapter: str | Path) -> PreTrainedModel:
    """A base that is not quantized with an adapter added to its weights, as a model without one.

    Each sum is made in fp32, layer by layer, and rounded once to the type of the layer's weight.
    Raises UserError where a sum is not a number.
    """
    tuned = PeftModel.from_pretrained(model, str(adapter), is_trainable=False)
    untie_changed(tuned)
    try:
        for layer in tuned.modules():
            if isinstance(layer, BaseTunerLayer):
                _merge_layer(layer)
    except ValueError as error:
        raise UserError(
            f"{adapter}: the adapter cannot be merged: {error}. Train it again; if it happens "
            "again, with a lower `training.learning_rate`."
        ) from None
    return tuned.unload().eval()


def _merge_layer(layer: BaseTunerLayer) -> None:
    # A sum in 16 bits would round the adapter's part to them before it is added.
    weight = layer.get_base_layer().weight
    stored = weight.dtype
    weight.data = weight.data.float()
    layer.merge(safe_merge=True)
    weight = layer.get_base_layer().weight
    weight.data = weight.data.to(stored)
