"""What the likelihoods of labels depend on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Generic

from deltatune.evaluate.settings import PromptedSettings, Prompts, Questions


class LabelSettings(PromptedSettings, Generic[Prompts, Questions]):
    """All that decides the likelihoods of labels, the weights, the records and the code apart:
    the params of `score_labels`."""

    prompts: Prompts
    questions: Questions
    max_length: int
    """Of a prompt with its label, in tokens."""
