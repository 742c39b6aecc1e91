"""Running text, continued."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import Field

from deltatune.core.schema import Section
from deltatune.tasks.base import Method, Split, TaskSettings, missing
from deltatune.tokens.prompts import Document

OUTPUTS = "text"
TEXT_FIELDS = ("text",)
LABEL_FIELD = None
OVERFLOW = "split"


class Evaluation(Section):
    context: int | None = Field(None, ge=32, le=1_048_576)
    """Tokens of a sliding window; its stride is half of it. Default: the task's max_length."""
    continuations: list[str] = ["I'm afraid I've created a "]
    """Prompts that base and tuned continue."""
    max_new_tokens: int = Field(60, ge=1, le=1_048_576)
    """Length of a continuation."""
    batch_size: int = Field(8, ge=1, le=65_536)
    """Windows that are scored together."""


class ContiguousSplit(Split):
    method: Method = "contiguous"
    """random, stratified by label, or contiguous: the last records in order are the test."""


class Settings(TaskSettings):
    split: ContiguousSplit = ContiguousSplit()
    """How the records are divided."""
    evaluation: Evaluation = Evaluation()
    """How text is scored and continued."""
    metrics: list[str] = ["perplexity", "word_perplexity", "bits_per_byte"]
    main_metric: str = "perplexity"


def check(record: dict[str, Any], task: dict[str, Any]) -> tuple[str, str] | None:
    return missing(record, ("text",))


def clean(record: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    return {"text": record["text"].strip(), "chapter": record.get("chapter") or ""}


def document(record: dict[str, Any], task: dict[str, Any]) -> Document:
    return Document(prompt="", completion=record["text"])


def questions(test: pd.DataFrame, task: dict[str, Any]) -> pd.DataFrame:
    """id, prompt, reference: the fixed prompts, which have no right answer."""
    prompts = task["evaluation"]["continuations"]
    return pd.DataFrame({"id": range(1, len(prompts) + 1), "prompt": prompts, "reference": ""})


def texts(test: pd.DataFrame) -> list[tuple[str, str]]:
    """(chapter, its text) in order; chunks of a chapter are joined as paragraphs."""
    groups = test.groupby((test["chapter"] != test["chapter"].shift()).cumsum(), sort=False)
    return [(g["chapter"].iloc[0], "\n\n".join(g["text"])) for _, g in groups]


def plain_text(record: dict[str, Any]) -> str:
    return record["text"]
