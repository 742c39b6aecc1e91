"""Prompts of a person's own, which systems answer without being scored."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deltatune.core.schema import Section
from deltatune.tasks.base import TaskKind, question_prompt

if TYPE_CHECKING:
    import pandas as pd


class OwnPrompts(Section):
    texts: list[str]
    """As they stand in config.yaml."""


def questions(chosen: OwnPrompts, kind: TaskKind, settings: Section) -> pd.DataFrame:
    """id (from 1), prompt and text of each, as a task asks it. settings: `Prompts` of the kind."""
    import pandas as pd

    prompts = [question_prompt(kind, settings, text) for text in chosen.texts]
    ids = range(1, len(prompts) + 1)
    return pd.DataFrame({"id": ids, "prompt": prompts, "text": chosen.texts})
