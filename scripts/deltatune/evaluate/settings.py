"""What the outputs of a system depend on, whatever they are. Needs no tensors to be imported."""

from __future__ import annotations

from typing import TypeVar

from deltatune.core.schema import Section
from deltatune.models.settings import Quantization
from deltatune.tasks.base import BatchSize

Prompts = TypeVar("Prompts", bound=Section)
"""`Prompts` of the kind of the task."""
Questions = TypeVar("Questions", bound=Section)
"""`Questions` of the kind of the task."""


class EvaluationSettings(Section):
    """The same for a base and for what was tuned from it: the weights are inputs."""

    task: str
    kind: str
    quantization: Quantization
    batch_size: BatchSize
    """Of the first attempt: see `outputs.compute`."""


class PromptedSettings(EvaluationSettings):
    refuses_long_prompts: bool
    """Whether a prompt that does not fit stops the evaluation, or is cut."""
