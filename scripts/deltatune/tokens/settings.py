"""What the rows of tokens of a task depend on, as types. Needs no tokenizer to be imported."""

from __future__ import annotations

from typing import Generic, TypeVar

from deltatune.core.schema import Section

PromptSettings = TypeVar("PromptSettings", bound=Section)
"""`Prompts` of the kind of the task."""


class TokenizeSettings(Section, Generic[PromptSettings]):
    """All that decides the rows of a split, its records, the tokenizer and the code apart: the
    params of `tokenize_split`."""

    task: str
    kind: str
    prompts: PromptSettings
    max_length: int
