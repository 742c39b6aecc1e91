"""Kinds of task, one module each, found by its name.

A kind is a module with

    OUTPUTS        the outputs of an evaluation, scored by metrics: "answers", "text" or "labels"
    TEXT_FIELDS    the fields whose text makes two records duplicates if it is equal
    OPTIONAL_FIELDS  those of them that a record may lack; none by default
    LABEL_FIELD    the field that a stratified split balances, or None
    OVERFLOW       how a document longer than max_length is shortened: "truncate" (its end),
                   "shorten_prompt" or "split" (into several)
    Settings       its section of config.yaml, a TaskSettings with defaults of its own
    check(record, task)      (field, reason) for a record that cannot be used, else None
    clean(record, task)      the record with normalized fields
    document(record, task)   the Document (prompt and completion) that is trained on
    questions(test, task)    the prompts of the evaluation: a frame of id, prompt and reference
    plain_text(record)       the text that a base may be pre-trained on: no prompt, no label

`task` is the settings as a plain dict, so that a stage depends only on the keys that it is given.
Modules here import nothing heavy: the Snakefile reads them at every call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from deltatune.core.errors import UserError
from deltatune.core.schema import Section, Seed, Share

if TYPE_CHECKING:
    import pandas as pd


Count = Annotated[int, Field(ge=1)]


Method = Literal["random", "stratified", "contiguous"]


class Split(Section):
    """The split into training, validation and test. A kind with another default method derives its
    own class, so that setting other keys of `split` does not change that default."""

    method: Method = "random"
    """random, stratified by label, or contiguous: the last records in order are the test set."""
    validation: Share | Count = 0.1
    """Fraction of the records, or their number."""
    test: Share | Count = 0.2
    """Fraction of the records, or their number."""
    max_records: int | None = Field(None, ge=3)
    """Use only this many of the first usable records; null: all."""
    near_duplicates: float | None = Field(0.85, gt=0, le=1)
    """Validation and test records at least this similar to a training record are excluded (Jaccard
    similarity of word 3-grams); null to keep them."""
    max_rejected: Share = 0.05
    """Stop the run if a larger fraction of the records is unusable."""
    seed: Seed = 0
    """Seed of the random split."""


class TaskSettings(Section):
    """Settings common to all kinds of task."""

    kind: str
    """instruct, prose or classify: a module of deltatune.tasks."""
    dataset: str
    """Name of the dataset under datasets."""
    split: Split = Split()
    """The split into training, validation and test set."""
    max_length: int = Field(512, ge=16, le=1_048_576)
    """Length of a packed training row, and maximum length of a document, in tokens."""
    metrics: list[str] = Field(min_length=1)
    """Names of metrics: modules in deltatune.metrics."""
    main_metric: str
    """The metric that decides the verdict."""


def valid(check: Callable[[Any], Any], value: Any) -> Any:
    """Turn a UserError into a ValueError, so that pydantic reports it with the path of the key."""
    try:
        return check(value)
    except UserError as error:
        raise ValueError(str(error).removeprefix("prompt: ")) from None


def spread(frame: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """At most `count` rows, evenly spaced, in their order."""
    if count is None or count >= len(frame):
        return frame
    return frame.iloc[[i * len(frame) // count for i in range(count)]]


def missing(record: dict[str, Any], fields: tuple[str, ...]) -> tuple[str, str] | None:
    """(field, reason) for the first field that is absent or has no visible character."""
    for field in fields:
        value = record.get(field)
        if value is None:
            return field, "missing"
        if not value.strip():
            return field, "empty"
    return None
