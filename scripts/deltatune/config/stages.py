"""What the settings of a task are to the stages that make its rows, as types."""

from __future__ import annotations

from deltatune.data.split_settings import SplitSettings
from deltatune.tasks.base import TaskSettings
from deltatune.tasks.registry import load_kind
from deltatune.tokens.settings import TokenizeSettings


def split_settings(name: str, task: TaskSettings) -> SplitSettings:
    """name: of the task."""
    records = load_kind(task.kind).Records
    return SplitSettings[records].part_of(task, task=name, records=records.part_of(task))


def token_settings(name: str, task: TaskSettings) -> TokenizeSettings:
    """name: of the task."""
    prompts = load_kind(task.kind).Prompts
    # Keys of some kinds alone.
    own = {
        "class_weights": getattr(task, "class_weights", None),
        "train_on_prompt": getattr(task, "train_on_prompt", False),
    }
    return TokenizeSettings[prompts].part_of(task, task=name, prompts=prompts.part_of(task), **own)
