"""What became of the records of each task, from the source to packed rows."""

from collections.abc import Mapping
from typing import Any

from deltatune.core.table import Cell, Column, Row, table
from deltatune.data.reasons import Leak
from deltatune.report import numbers
from deltatune.report.data import ReportData

NAME, TITLE = "records", "Data"

FACTS = {
    "rows": "Rows in the source",
    "paragraphs": "Paragraphs in the source, headings included",
    "unread": "Not readable",
    "headings": "Headings taken out of the text",
    "chunks": "Chunks cut from the text",
    "records": "Records to divide (rows that were read, or chunks)",
    "unusable": "Not usable for the task",
    "beyond_max_records": "Beyond max_records or train",
    "duplicates": "Repeated records left out",
    "near_duplicates": "Near duplicates left out",
    "near_duplicate_threshold": "Near duplicates: word 3-gram Jaccard from",
    "kept": "Records kept",
    "splits": "Kept",
    "parts": "Kept of the mixture",
    "groups": "Groups",
    "chapters": "Chapters",
    "divided_chapters": "Chapters in more than one split",
    Leak.REPEATED_PROMPT: "Test prompts in training with another answer",
    Leak.CONTAINED: "Test records contained in a training record",
    Leak.REPEATED_ANSWER: "Test references verbatim in training",
    "tokenized_for": "The next rows are of the tokens of",
    "split_up": "Training and validation documents split into several",
    "truncated": "Training and validation documents cut to a row",
    "dropped": "Training and validation documents left out (too long, or nothing to learn)",
    "without_reasoning": "Conversations of which the chat template leaves out reasoning",
    "without_tools": "Conversations of which the chat template leaves out the tools",
    "class_weights": "Weight in the training loss",
    "supervised_tokens": "Supervised tokens in training",
    "padding_share": "Padding of training rows",
}
WHAT = "count of"
"""Key of the column that names the rows; no task has a blank in its name."""
REASONS = ("unread", "unusable")
"""Facts that are counted by reason: a total, and a row for each reason below it."""


def view(data: ReportData) -> dict | None:
    """Facts as rows, tasks as columns; a fact that is a dict (reasons, splits) has rows below. And
    the notes of each task that has some."""
    records = data.records
    if not records:
        return None
    keys = [key for key in FACTS if any(key in counts for counts in records.values())]
    keys += [
        key
        for key in dict.fromkeys(k for c in records.values() for k in c)
        if key not in FACTS and key != "notes"
    ]
    columns = [Column(WHAT, "Records"), *(Column(task, task, "number") for task in records)]
    rows = [row for key in keys for row in _rows(records, key)]
    notes = {task: counts["notes"] for task, counts in records.items() if counts.get("notes")}
    return {"table": table("data-records", "What became of them", columns, rows), "notes": notes}


def _rows(records: Mapping[str, Mapping], key: str) -> list[Row]:
    """Of one fact: a row, or one for each part of a fact that has parts."""
    values = {task: counts.get(key) for task, counts in records.items()}
    name = FACTS.get(key, str(key).replace("_", " ").capitalize())
    if not any(isinstance(value, Mapping) for value in values.values()):
        return [_row(name, values, key)]
    rows = []
    if key in REASONS:
        totals = {t: None if one is None else sum(one.values()) for t, one in values.items()}
        rows.append(_row(name, totals, key))
    parts = dict.fromkeys(k for one in values.values() if isinstance(one, Mapping) for k in one)
    for part in parts:
        of_part = {task: (one or {}).get(part) for task, one in values.items()}
        inner = key in REASONS
        rows.append(_row(str(part) if inner else f"{name}: {part}", of_part, key, inner))
    return rows


def _row(name: str, values: Mapping[str, Any], key: str, inner: bool = False) -> Row:
    cells = {task: _cell(value, key) for task, value in values.items()}
    return Row({WHAT: Cell(name), **cells}, inner)


def _cell(value, key: str) -> Cell:
    if value is None:
        return Cell()
    if isinstance(value, str) or not numbers.finite(value):
        return Cell(str(value))
    number = float(value)
    if key == "padding_share":
        return Cell(f"{100 * number:.1f}%", number)
    whole = number == round(number)
    return Cell(f"{round(number):,}" if whole else f"{number:,.4g}", value)
