"""Reading comprehension: a question about a passage, answered in a few words.

A kind of task that is not shipped: test_fourth_kind.py puts this file beside the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from deltatune.core.schema import Section
from deltatune.data.reasons import Code, Reason
from deltatune.tasks.base import Clusters, Record, TaskSettings, group_clusters, missing
from deltatune.tokens.prompts import Document

if TYPE_CHECKING:
    import pandas as pd

TITLE = "reading comprehension"
OUTPUTS = "answers"
UNIT = "questions"
MAIN_METRIC = "token_f1"
FIELDS = ("passage", "question", "answer")
OPTIONAL_FIELDS = ()
TEXT_FIELDS = FIELDS
PROMPT_FIELDS = ("passage", "question")
ANSWER_FIELDS = ("answer",)
LABEL_FIELD = None
TRUNCATION = "shorten_prompt"


class Records(Section):
    longest_answer: int = 3
    """In words; a record with a longer one is left out."""


class Prompts(Section):
    closing: str = "Answer:"
    """The end of the prompt."""


Questions = Section


class Evaluation(Questions):
    max_new_tokens: int = 8
    batch_size: int = 8


class Settings(Records, Prompts, TaskSettings):
    kind: Literal["comprehension"]
    evaluation: Evaluation = Evaluation()
    metrics: list[str] = ["token_f1", "exact_match"]
    main_metric: str = MAIN_METRIC


def check(record: Record, settings: Records) -> Reason | None:
    reason = missing(record, TEXT_FIELDS)
    if reason is None and len(record["answer"].split()) > settings.longest_answer:
        return Reason(Code.EMPTY, "answer")
    return reason


def clean(record: Record, settings: Records) -> Record:
    return {field: record[field].strip() for field in TEXT_FIELDS}


def document(record: Record, settings: Prompts) -> Document:
    prompt = f"{record['passage']}\n\n{record['question']}\n{settings.closing}"
    return Document(prompt=prompt, completion=f" {record['answer']}")


def uses_chat_template(settings: Prompts) -> bool:
    return False


def clusters(test: pd.DataFrame) -> Clusters:
    return group_clusters(test)


def questions(test: pd.DataFrame, settings: Prompts, chosen: Questions) -> pd.DataFrame:
    prompts = [document(record, settings).prompt for record in test.to_dict("records")]
    return test[["id"]].assign(prompt=prompts, reference=test["answer"], **clusters(test))


def plain_text(record: Record) -> str:
    return record["passage"]
