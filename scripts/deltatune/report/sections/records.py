"""What became of the records of each task, from the source to packed rows."""

from collections.abc import Mapping

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
    rows = []
    for key in keys:
        values = [counts.get(key) for counts in records.values()]
        name = FACTS.get(key, str(key).replace("_", " ").capitalize())
        inner = dict.fromkeys(k for value in values if isinstance(value, Mapping) for k in value)
        if any(isinstance(value, Mapping) for value in values):
            if key in REASONS:
                totals = [None if value is None else sum(value.values()) for value in values]
                cells = [_cell(total, key) for total in totals]
                rows.append({"name": name, "cells": cells, "inner": False})
            for part in inner:
                cells = [_cell((value or {}).get(part), key) for value in values]
                part_name = str(part) if key in REASONS else f"{name}: {part}"
                rows.append({"name": part_name, "cells": cells, "inner": key in REASONS})
        else:
            rows.append(
                {"name": name, "cells": [_cell(value, key) for value in values], "inner": False}
            )
    notes = {task: counts["notes"] for task, counts in records.items() if counts.get("notes")}
    return {"tasks": list(records), "rows": rows, "notes": notes}


def _cell(value, key: str) -> str:
    if value is None:
        return numbers.NOTHING
    if key == "padding_share" and numbers.finite(value):
        return f"{100 * float(value):.1f}%"
    if isinstance(value, str) or not numbers.finite(value):
        return str(value)
    number = float(value)
    return f"{round(number):,}" if number == round(number) else f"{number:,.4g}"
