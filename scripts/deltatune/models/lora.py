"""peft's configuration of a LoRA adapter, from the settings."""

from __future__ import annotations

from typing import Any

from peft import LoraConfig

_NAMES = {
    "rank": "r",
    "alpha": "lora_alpha",
    "dropout": "lora_dropout",
    "targets": "target_modules",
}
"""Fields of `config.model.Lora` that peft calls otherwise."""


def lora_config(
    lora: dict[str, Any], base: str | None = None, revision: str | None = None
) -> LoraConfig:
    """peft's configuration from the fields of `config.model.Lora`.

    base: what the adapter names as its base, a path or hub id. revision: of the hub id.
    """
    fields = {_NAMES.get(key, key): value for key, value in lora.items()}
    return LoraConfig(
        task_type="CAUSAL_LM", base_model_name_or_path=base, revision=revision, **fields
    )
