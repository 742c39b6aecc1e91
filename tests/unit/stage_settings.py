"""The settings of a stage, as its rule passes them, of a task that is written in a test."""

from __future__ import annotations

from typing import Any

from deltatune.config import stages
from deltatune.data.split_settings import SplitSettings
from deltatune.tasks.base import TaskSettings, labeled
from deltatune.tasks.registry import load_kind
from deltatune.tokens.settings import TokenizeSettings


def task_settings(kind: str, dataset: str = "d", **keys: Any) -> TaskSettings:
    return load_kind(kind).Settings(kind=kind, dataset=dataset, **keys)


def split_settings(kind: str, task: str = "t", **keys: Any) -> SplitSettings:
    return stages.split_settings(task, task_settings(kind, **keys))


def token_settings(kind: str, task: str = "t", **keys: Any) -> TokenizeSettings:
    """With the classes of a classification, as its script has them: those that keys name."""
    settings, module = task_settings(kind, **keys), load_kind(kind)
    names = module.label_names(settings) if module.LABEL_FIELD else []
    return labeled(module, stages.token_settings(task, settings), names)
