"""Running text, continued."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from deltatune.prompts import Document
from deltatune.schema import Section
from deltatune.tasks import Split, TaskSettings, missing

OUTPUTS = "text"
TEXT_FIELDS = ("text",)
LABEL_FIELD = None
OVERFLOW = "split"


class Evaluation(Section):
    context: int | None = Field(None, ge=32)
    """Tokens of a sliding window; its stride is half of it. Default: the task's max_length."""
    continuations: list[str] = ["I'm afraid I've created a "]
    """Prompts that base and tuned continue."""
    max_new_tokens: int = Field(60, ge=1)
    """Length of a continuation."""
    batch_size: int = Field(8, ge=1)
    """Windows that are scored together."""


class Settings(TaskSettings):
    split: Split = Split(method="contiguous")
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


def plain_text(record: dict[str, Any]) -> str:
    return record["text"]
