"""peft's configuration of a LoRA adapter, from the settings."""

from __future__ import annotations

from peft import LoraConfig

from deltatune.models.settings import Lora

_NAMES = {
    "rank": "r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "targets": "target_modules",
}
"""Fields of `Lora` that peft calls otherwise."""


def lora_config(lora: Lora, base: str | None = None, revision: str | None = None) -> LoraConfig:
    """peft's configuration of these settings.

    base: what the adapter names as its base, a path or hub id. revision: of the hub id.
    """
    fields = {_NAMES.get(key, key): value for key, value in lora.model_dump().items()}
    return LoraConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=base, revision=revision, **fields
    )
