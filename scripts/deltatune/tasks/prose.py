"""Language modeling of running text."""

from __future__ import annotations

from typing import Literal

import pandas as pd
from pydantic import Field

from deltatune.core.schema import Section
from deltatune.data.reasons import Reason
from deltatune.tasks.base import Method, Record, Split, Task, TaskSettings, missing
from deltatune.tokens.prompts import Document

TITLE = "prose"
OUTPUTS = "text"
UNIT = "windows"
MAIN_METRIC = "perplexity"
TEXT_FIELDS = ("text",)
OPTIONAL_FIELDS = ()
PROMPT_FIELDS = ()
ANSWER_FIELDS = ()
LABEL_FIELD = None
OVERFLOW = "split"


class Evaluation(Section):
    context: int | None = Field(None, ge=32, le=1_048_576)
    """Length of the window in tokens. Default: max_length."""
    windows: Literal["sliding", "lm_eval"] = "sliding"
    """sliding: windows overlap by half, so that each token but the first ones has half a window
    before it. lm_eval: windows as in lm-evaluation-harness, which follow each other without an
    overlap, for word perplexity and bits per byte that compare with its figures, and are higher."""
    continuations: list[str] = ["I'm afraid I've created a "]
    """Prompts that base and tuned continue."""
    max_new_tokens: int = Field(60, ge=1, le=1_048_576)
    """Maximum length of a continuation, in tokens."""
    batch_size: int = Field(8, ge=1, le=65_536)
    """Windows scored in one batch."""


class ContiguousSplit(Split):
    method: Method = "contiguous"
    """random; stratified by label; contiguous: the last records in order are the test set; or hash:
    a hash of each record's text decides, so that added records move no other, and sizes are
    fractions that hold approximately."""


class Settings(TaskSettings):
    split: ContiguousSplit = ContiguousSplit()
    """The split into training, validation and test set."""
    evaluation: Evaluation = Evaluation()
    """Settings of the likelihood and of the continuations."""
    metrics: list[str] = ["perplexity", "word_perplexity", "bits_per_byte"]
    main_metric: str = MAIN_METRIC


def check(record: Record, task: Task) -> Reason | None:
    return missing(record, ("text",))


def clean(record: Record, task: Task) -> Record:
    return {"text": record["text"].strip(), "chapter": record.get("chapter") or ""}


def document(record: Record, task: Task) -> Document:
    return Document(prompt="", completion=record["text"])


def questions(test: pd.DataFrame, task: Task) -> pd.DataFrame:
    """id, prompt, reference: the fixed prompts, which have no reference answer."""
    prompts = task["evaluation"]["continuations"]
    return pd.DataFrame({"id": range(1, len(prompts) + 1), "prompt": prompts, "reference": ""})


def texts(test: pd.DataFrame) -> list[tuple[str, str]]:
    """(chapter, its text) in order; chunks of a chapter are joined as paragraphs."""
    groups = test.groupby((test["chapter"] != test["chapter"].shift()).cumsum(), sort=False)
    return [(g["chapter"].iloc[0], "\n\n".join(g["text"])) for _, g in groups]


def plain_text(record: Record) -> str:
    return record["text"]
