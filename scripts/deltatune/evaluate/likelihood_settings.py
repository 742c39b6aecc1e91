"""What the likelihood of text depends on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Literal

from deltatune.evaluate.settings import EvaluationSettings

Scheme = Literal["sliding", "lm_eval"]
"""How a text is cut into windows, see `likelihood.windows`."""


class TextSettings(EvaluationSettings):
    """All that decides the likelihood of text, the weights, the text and the code apart:
    the params of `score_text`."""

    context: int
    """Of a window, in tokens."""
    windows: Scheme
