"""Instruction following: an instruction with an optional input, answered in free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from deltatune.core.schema import Section
from deltatune.data.reasons import Reason
from deltatune.metrics.languages import NOT_BY_WORDS, check_language
from deltatune.tasks.base import (
    Clusters,
    Record,
    TaskSettings,
    group_clusters,
    missing,
    spread,
    valid,
)
from deltatune.tokens.prompts import Document, conversation, instruction_template, render

if TYPE_CHECKING:
    import pandas as pd

TITLE = "instruction following"
OUTPUTS = "answers"
UNIT = "examples"
MAIN_METRIC = "rouge_l"
METRICS = ["rouge_l", "bleu", "exact_match", "token_f1", "bertscore"]
TEXT_FIELDS = ("instruction", "input", "output")
OPTIONAL_FIELDS = ("input",)
PROMPT_FIELDS = ("instruction", "input")
ANSWER_FIELDS = ("output",)
LABEL_FIELD = None
OVERFLOW = "truncate"
Records = Section


class Chat(Section):
    system: str | None = Field(None, min_length=1)
    """System prompt; put before the question where the model's template has no system role."""


class Prompts(Section):
    prompt: str | dict[str, str] = "alpaca"
    """Name of a template (alpaca, alpaca_short, plain), or your own: {with_input: ...,
    without_input: ...}. With `chat` it is the user's message, and the default is plain."""
    chat: Chat | None = None
    """Apply the model's own chat template: `chat: {}`, or with a system prompt; null: the prompt
    without one."""

    @model_validator(mode="before")
    @classmethod
    def _plain_in_a_chat(cls, task: Any) -> Any:
        chats = isinstance(task, dict) and task.get("chat") is not None
        return {"prompt": "plain", **task} if chats else task

    @field_validator("prompt")
    @classmethod
    def _renders(cls, prompt: str | dict[str, str]) -> str | dict[str, str]:
        valid(instruction_template, prompt)
        # The order of the templates changes no prompt.
        return dict(sorted(prompt.items())) if isinstance(prompt, dict) else prompt


class Questions(Section):
    max_examples: int | None = Field(None, ge=5)
    """Evaluate only this many records, evenly spaced over the test split (or the validation split,
    where that is evaluated); null: all."""


class Evaluation(Questions):
    max_new_tokens: int = Field(128, ge=1, le=1_048_576)
    """Maximum length of an answer, in tokens."""
    batch_size: int = Field(32, ge=1, le=65_536)
    """Prompts in one batch of generation, sorted by length."""


class Settings(Prompts, TaskSettings):
    kind: Literal["instruct"]
    evaluation: Evaluation = Evaluation()
    """Settings of the generation."""
    language: str = Field("en", pattern=r"^[a-z]{2,4}$")
    """Language of the answers, a primary code of BCP 47 such as en, es or zh; none: code, formulas,
    symbols. Articles are dropped for en alone, and BLEU tokenizes by language. With any other than
    en the default of metrics has chrf too; where words cannot be told apart (th, lo, km, my, none)
    it is the default of main_metric."""
    metrics: list[str] = METRICS
    main_metric: str = MAIN_METRIC

    @model_validator(mode="before")
    @classmethod
    def _judged_by_characters(cls, task: Any) -> Any:
        language = task.get("language", "en") if isinstance(task, dict) else "en"
        if language == "en":
            return task
        defaults = {"metrics": [*METRICS, "chrf"]}
        if language in NOT_BY_WORDS and "chrf" in task.get("metrics", defaults["metrics"]):
            defaults["main_metric"] = "chrf"
        return defaults | task

    @field_validator("language", mode="before")
    @classmethod
    def _is_a_language(cls, language: Any) -> Any:
        # YAML 1.1 reads no, Norwegian, as false.
        language = "no" if language is False else language
        return valid(check_language, language) if isinstance(language, str) else language


def check(record: Record, settings: Records) -> Reason | None:
    return missing(record, ("instruction", "output"))


def clean(record: Record, settings: Records) -> Record:
    return {field: (record.get(field) or "").strip() for field in TEXT_FIELDS}


def document(record: Record, settings: Prompts) -> Document:
    prompt = render(settings.prompt, record)
    if settings.chat is not None:
        prompt = conversation(prompt, settings.chat.system)
    return Document(prompt=prompt, completion=record["output"])


def clusters(test: pd.DataFrame) -> Clusters:
    return group_clusters(test)


def questions(test: pd.DataFrame, settings: Prompts, chosen: Questions) -> pd.DataFrame:
    """id, prompt (text, or messages in a chat), reference, and the `clusters`."""
    records = spread(test, chosen.max_examples)
    prompts = [document(record, settings).prompt for record in records.to_dict("records")]
    questions = records[["id"]].assign(prompt=prompts, reference=records["output"])
    return questions.assign(**clusters(records))


def plain_text(record: Record) -> str:
    # The answers alone: the base is pre-trained on the language, not on the prompts.
    return record["output"]
