"""What the plain baselines of a task depend on, as types. Fits nothing."""

from __future__ import annotations

from typing import Generic, TypeVar

from deltatune.core.schema import Section
from deltatune.metrics.settings import MetricsSettings

Prompts = TypeVar("Prompts", bound=Section)
"""`Prompts` of the kind of the task."""
Questions = TypeVar("Questions", bound=Section)
"""`Questions` of the kind of the task."""


class FitSettings(Section, Generic[Prompts, Questions]):
    """All that decides the outputs of baselines and their scores, the records and the code apart:
    the params of `fit_answer_baselines` and `fit_label_baselines`."""

    kind: str
    prompts: Prompts
    questions: Questions
    metrics: MetricsSettings
