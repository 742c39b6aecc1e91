"""What the rows of tokens of a task depend on, as types. Needs no tokenizer to be imported."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import Field

from deltatune.core.schema import Section

Overflow = Literal["truncate", "drop", "split", "refuse"]
"""What becomes of a document longer than max_length. Only text without a prompt can be split."""

Truncation = Literal["truncate", "shorten_prompt", "leave_out_turns"]
"""What a truncated document loses: its end, a part of its prompt, or the last turns of a
conversation."""

ClassWeights = Literal["balanced"] | dict[str, Annotated[float, Field(gt=0, le=1e6)]] | None
"""Of the classes in the training loss; None: each token weighs the same."""

PromptSettings = TypeVar("PromptSettings", bound=Section)
"""`Prompts` of the kind of the task."""


class TokenizeSettings(Section, Generic[PromptSettings]):
    """All that decides the rows of a split, its records, the tokenizer and the code apart: the
    params of `tokenize_split`."""

    task: str
    kind: str
    prompts: PromptSettings
    max_length: int
    overflow: Overflow
    packing: bool
    train_on_prompt: bool = False
    class_weights: ClassWeights = None
