"""What generated answers depend on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Generic

from deltatune.evaluate.settings import Backend, PromptedSettings, Prompts, Questions
from deltatune.tasks.base import Sampling


class GenerateSettings(PromptedSettings, Generic[Prompts, Questions]):
    """All that decides answers, the weights, the records and the code apart: the params of
    `generate_answers`."""

    prompts: Prompts
    questions: Questions
    max_new_tokens: int
    sampling: Sampling | None
    backend: Backend
