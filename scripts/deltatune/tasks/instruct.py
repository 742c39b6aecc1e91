"""Instruction following: an instruction with an optional input, answered in free text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from deltatune.core.schema import Section
from deltatune.data.reasons import Reason
from deltatune.tasks import answers
from deltatune.tasks.base import Clusters, Record, group_clusters, missing, spread, valid
from deltatune.tokens.prompts import Document, conversation, instruction_template, render

if TYPE_CHECKING:
    import pandas as pd

TITLE = "instruction following"
OUTPUTS = "answers"
UNIT = "examples"
MAIN_METRIC = answers.MAIN_METRIC
FIELDS = ("instruction", "input", "output")
OPTIONAL_FIELDS = ("input",)
TEXT_FIELDS = FIELDS
PROMPT_FIELDS = ("instruction", "input")
ANSWER_FIELDS = ("output",)
LABEL_FIELD = None
TRUNCATION = "truncate"
Records = Section
Questions = answers.Questions


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


class Settings(Prompts, answers.AnswerSettings):
    kind: Literal["instruct"]
    train_on_prompt: bool = False
    """Take the loss on the prompt as well, of a chat template all of it; false: on the answer
    alone."""


def check(record: Record, settings: Records) -> Reason | None:
    return missing(record, ("instruction", "output"))


def clean(record: Record, settings: Records) -> Record:
    return {field: (record.get(field) or "").strip() for field in TEXT_FIELDS}


def document(record: Record, settings: Prompts) -> Document:
    prompt = render(settings.prompt, record)
    if settings.chat is not None:
        prompt = conversation(prompt, settings.chat.system)
    return Document(prompt=prompt, completion=record["output"])


def uses_chat_template(settings: Prompts) -> bool:
    return settings.chat is not None


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
