"""LoRA adapters: added to a model, and saved in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from peft import get_peft_model

from deltatune.core import disk
from deltatune.core.errors import UserError
from deltatune.models.lora import check_layers, lora_config
from deltatune.models.settings import Lora


def with_lora(model, lora: Lora, seed: int, base: str, revision: str | None = None):
    """The model with a fresh adapter, whose parameters alone are trained, in fp32.

    base, revision: see `lora_config`. Raises UserError for settings that peft refuses, such as a
    target that no layer is called.
    """
    check_layers(model, lora)
    torch.manual_seed(seed)
    try:
        model = get_peft_model(model, lora_config(model, lora, base, revision))
    except ValueError as error:
        raise UserError(f"lora: peft refuses these settings: {error}") from None
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype is not torch.float32:
            # A gradient scaler refuses fp16 parameters, and small updates are lost in bf16.
            parameter.data = parameter.data.float()
    return model


def copy_trained(model) -> dict[str, torch.Tensor]:
    """Name -> value of every parameter that is trained, in main memory."""
    return {
        name: p.detach().to("cpu", copy=True).contiguous()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def set_trained(model, values: dict[str, torch.Tensor]) -> None:
    """Give what is trained the values that `copy_trained` returned, without gradients."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if trained.keys() != values.keys():
        raise RuntimeError("the checkpoint has other parameters than those that are trained")
    for name, parameter in trained.items():
        parameter.data.copy_(values[name])
        parameter.grad = None


def save(model, base: str, output: Path) -> None:
    """Save an adapter as safetensors; the same settings must give the same bytes.

    Raises UserError where the disk is full.
    """
    try:
        model.save_pretrained(str(output), safe_serialization=True)
        # peft has target_modules in a set, whose order changes from process to process.
        path = output / "adapter_config.json"
        config = json.loads(path.read_text())
        for key in ("target_modules", "modules_to_save", "exclude_modules"):
            if isinstance(config.get(key), list):
                config[key] = sorted(config[key])
        # peft writes where the model was loaded from, which may be a path on this machine.
        config["base_model_name_or_path"] = base
        path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        # A model card that is a template to be filled in.
        (output / "README.md").unlink(missing_ok=True)
    except Exception as error:
        reason = disk.full(error)
        if not reason:
            raise
        raise UserError(
            f"The adapter could not be saved in {output}: {reason}. Make room and start again; "
            "training resumes at its last checkpoint."
        ) from None
