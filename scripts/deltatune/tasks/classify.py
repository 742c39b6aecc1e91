"""Text classification by the log-likelihood of each label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deltatune.core.schema import Section
from deltatune.core.text import nearest
from deltatune.data.reasons import Code, Reason
from deltatune.data.split_settings import Method, Split
from deltatune.tasks.base import (
    Clusters,
    Record,
    TaskSettings,
    group_clusters,
    missing,
    spread,
    valid,
)
from deltatune.tokens.prompts import Document, label_template, render_labels

if TYPE_CHECKING:
    import pandas as pd

TITLE = "classification"
OUTPUTS = "labels"
UNIT = "examples"
MAIN_METRIC = "accuracy"
TEXT_FIELDS = ("text",)
OPTIONAL_FIELDS = ()
PROMPT_FIELDS = ()
ANSWER_FIELDS = ()
LABEL_FIELD = "label"
# The end of the prompt asks for the label, and only the label is supervised.
OVERFLOW = "shorten_prompt"


class Records(Section):
    labels: list[str] | dict[str | int, str]
    """The classes. A list of names, where a record has the name or its index (from 0); or a mapping
    from the value in the data to the name."""

    @model_validator(mode="after")
    def _distinct(self) -> Records:
        names = label_names(self)
        if len(names) < 2:
            raise ValueError(f"labels: a classification needs two or more classes, not {names}")
        if isinstance(self.labels, list) and len(names) < len(self.labels):
            raise ValueError(f"labels: {self.labels} has a class twice")
        if any(not name.strip() for name in names):
            raise ValueError("labels: a class has an empty name")
        for name in names:
            # Labels in the data are stripped, and a prompt cannot show such a difference.
            if name != " ".join(name.split()):
                raise ValueError(
                    f"labels: {name!r} begins or ends with white space, or has more than one space "
                    f"between words; write {' '.join(name.split())!r}, if need be by a mapping "
                    "from the value in the data"
                )
        return self


def _names(labels: list[str] | dict[Any, str]) -> list[str]:
    return list(dict.fromkeys(labels if isinstance(labels, list) else labels.values()))


class Prompts(Section):
    labels: Annotated[list[str], BeforeValidator(_names)]
    """Names of the classes: behind the split, records have these whatever stands in the data."""
    prompt: str = "{text}\n\nCategory:"
    """Template of the prompt before the label, with {text} and {labels}."""

    @field_validator("prompt")
    @classmethod
    def _renders(cls, prompt: str) -> str:
        return valid(label_template, prompt)


class Questions(Section):
    max_examples: int | None = Field(None, ge=5)
    """Evaluate only this many records, evenly spaced over the test split (or the validation split,
    where that is evaluated); null: all."""


class Evaluation(Questions):
    batch_size: int = Field(32, ge=1, le=65_536)
    """Texts scored in one batch, sorted by length."""


class StratifiedSplit(Split):
    method: Method = "stratified"
    """random; stratified by label; contiguous: the last records in order are the test set; or hash:
    a hash of each record's text decides, so that added records move no other, and sizes are
    fractions that hold approximately."""


# Records first: their labels are those of config.yaml.
class Settings(Records, Prompts, TaskSettings):
    kind: Literal["classify"]
    split: StratifiedSplit = StratifiedSplit()
    """The split into training, validation and test set."""
    evaluation: Evaluation = Evaluation()
    """Settings of the scoring of labels."""
    metrics: list[str] = ["accuracy", "macro_f1", "macro_f1_present", "accuracy_calibrated"]
    main_metric: str = MAIN_METRIC


def label_names(settings: Records) -> list[str]:
    """The names of the classes in their order, each once."""
    return _names(settings.labels)


def _label(raw: str, labels: list[str] | dict[Any, str]) -> str | None:
    raw = raw.strip()
    if isinstance(labels, dict):
        return {str(key): name for key, name in labels.items()}.get(raw)
    if raw in labels:
        return raw
    number = int(raw) if len(raw) < 10 and raw.isdecimal() else len(labels)
    return labels[number] if number < len(labels) else None


def check(record: Record, settings: Records) -> Reason | None:
    reason = missing(record, ("text", "label"))
    if reason is None and _label(record["label"], settings.labels) is None:
        label = record["label"].strip()[:60]
        known = nearest(label, map(str, settings.labels))
        return Reason(Code.UNKNOWN_LABEL, "label", value=label, nearest=known)
    return reason


def clean(record: Record, settings: Records) -> Record:
    return {"text": record["text"].strip(), "label": _label(record["label"], settings.labels)}


def document(record: Record, settings: Prompts) -> Document:
    prompt = render_labels(settings.prompt, record["text"], settings.labels)
    return Document(prompt=prompt, completion=f" {record['label']}")


def clusters(test: pd.DataFrame) -> Clusters:
    return group_clusters(test)


def questions(test: pd.DataFrame, settings: Prompts, chosen: Questions) -> pd.DataFrame:
    """id, prompt, text, label, and the `clusters`."""
    records = spread(test, chosen.max_examples)
    prompts = [document(record, settings).prompt for record in records.to_dict("records")]
    return records[["id", "text", "label"]].assign(prompt=prompts, **clusters(records))


def completions(settings: Prompts) -> list[str]:
    """The completion for each label, in the order of the labels."""
    return [f" {name}" for name in settings.labels]


def empty_prompts(settings: Prompts) -> list[str]:
    """Prompts without content, for contextual calibration (Zhao et al. 2021)."""
    texts = ("N/A", "[MASK]", "")
    return [render_labels(settings.prompt, text, settings.labels) for text in texts]


def plain_text(record: Record) -> str:
    return record["text"]
