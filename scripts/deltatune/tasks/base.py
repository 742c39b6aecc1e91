"""Kinds of task, one module each, found by its name.

A kind is a module with

    OUTPUTS        what an evaluation yields and its metrics judge: "answers", "text" or "labels"
    TEXT_FIELDS    the fields whose text tells two records apart
    OPTIONAL_FIELDS  those of them that a record may lack; none if it is left out
    LABEL_FIELD    the field that a stratified split balances, or None
    OVERFLOW       "truncate" or "split": what becomes of a document longer than max_length
    Settings       its part of config.yaml, a TaskSettings with defaults of its own
    check(record, task)      (field, reason) for a record that cannot be used, else None
    clean(record, task)      the record with its fields in the task's own terms
    document(record, task)   the Document (prompt and completion) that is trained on
    questions(test, task)    what is asked of a system: a frame of id, prompt and what judges it
    plain_text(record)       the text that a base may be pre-trained on: no prompt, no label

`task` is the settings as a plain dict, so that a stage depends on just the keys that it is given.
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
    """How records become training, validation and test. A kind of task with another default
    derives its own: keys that stand beside it in config.yaml leave it as it is."""

    method: Method = "random"
    """random, stratified by label, or contiguous: the last records in order are the test."""
    validation: Share | Count = 0.1
    """Share of the records, or their number."""
    test: Share | Count = 0.2
    """Share of the records, or their number."""
    max_records: int | None = Field(None, ge=3)
    """Read only the first so many usable records."""
    near_duplicates: float | None = Field(0.85, gt=0, le=1)
    """Records of validation and test as similar as this to a training record are left out
    (Jaccard similarity of word 3-grams); none to keep them."""
    max_rejected: Share = 0.05
    """The run stops when a larger share of the records is unusable."""
    seed: Seed = 0
    """Fixes the random split."""


class TaskSettings(Section):
    """What tasks of every kind have in common."""

    kind: str
    """instruct, prose or classify: a module of deltatune.tasks."""
    dataset: str
    """Name of the records under datasets."""
    split: Split = Split()
    """How the records are divided."""
    max_length: int = Field(512, ge=16, le=1_048_576)
    """Tokens of a packed training row, and of the longest document."""
    metrics: list[str] = Field(min_length=1)
    """Names of modules in deltatune.metrics."""
    main_metric: str
    """The metric of the verdict."""


def valid(check: Callable[[Any], Any], value: Any) -> Any:
    """Run a check that raises UserError inside a validator, so that its message gets the key."""
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
