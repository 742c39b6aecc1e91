"""Output layers that share their weight with the embeddings, under an adapter that changes one."""

from __future__ import annotations

from typing import Any

import torch


def untie_changed(model: Any) -> None:
    """Before an adapter is merged: give the output layer a weight of its own where the adapter
    changes it or the embeddings that it shares it with.

    The adapter was trained and evaluated on one of them alone, and a sum in a shared weight would
    change both, by several nats per token. A layer among `modules_to_save` would not be saved.

    model: a PeftModel.
    """
    base = model.get_base_model()
    head, embeddings = base.get_output_embeddings(), base.get_input_embeddings()
    if head is None or (head is _inner(head) and embeddings is _inner(embeddings)):
        return
    own, shared = _inner(head), _inner(embeddings)
    if own.weight is not shared.weight:
        return
    own.weight = torch.nn.Parameter(shared.weight.detach().clone(), requires_grad=False)
    for config in (base.config, base.config.get_text_config()):
        config.tie_word_embeddings = False
    # By these transformers leaves a weight out when it saves.
    base.all_tied_weights_keys = {}


def _inner(layer: Any) -> Any:
    """The layer that peft has wrapped, or the layer."""
    for name in ("base_layer", "original_module"):
        if hasattr(layer, name):
            return getattr(layer, name)
    return layer
