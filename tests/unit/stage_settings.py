"""The settings of a stage, as its rule passes them, of a task that is written in a test."""

from __future__ import annotations

from typing import Any

from deltatune.data.split_settings import SplitSettings
from deltatune.tasks.registry import load_kind
from deltatune.tokens.settings import TokenizeSettings


def split_settings(kind: str, task: str = "t", **keys: Any) -> SplitSettings:
    settings = load_kind(kind).Settings(kind=kind, dataset="d", **keys)
    records = load_kind(kind).Records.part_of(settings)
    return SplitSettings[type(records)].part_of(settings, task=task, records=records)


def token_settings(kind: str, task: str = "t", **keys: Any) -> TokenizeSettings:
    settings = load_kind(kind).Settings(kind=kind, dataset="d", **keys)
    prompts = load_kind(kind).Prompts.part_of(settings)
    return TokenizeSettings[type(prompts)].part_of(settings, task=task, prompts=prompts)
