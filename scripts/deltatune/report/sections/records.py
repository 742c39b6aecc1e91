"""What became of the records of each task, from the source to packed rows."""

from collections.abc import Mapping

from deltatune.report import numbers
from deltatune.report.caveats import Code

FACTS = {
    "rows": "Rows in the source",
    "kept": "Rows kept",
    "rejected": "Rejected",
    "duplicates": "Duplicates left out",
    "near_duplicates": "Near duplicates left out",
    "near_duplicate_threshold": "Near duplicates: word 3-gram Jaccard from",
    "splits": "Split",
    "groups": "Groups",
    Code.REPEATED_PROMPT: "Test prompts in training with another answer",
    Code.CONTAINED: "Test records contained in a training record",
    Code.REPEATED_ANSWER: "Test references verbatim in training",
    "truncated": "Documents cut to a row",
    "padding_share": "Padding",
    "supervised_tokens": "Supervised tokens",
}


def view(records: Mapping[str, Mapping]) -> dict | None:
    """Facts as rows, tasks as columns; a fact that is a dict (reasons, splits) has rows below."""
    if not records:
        return None
    keys = [key for key in FACTS if any(key in counts for counts in records.values())]
    keys += [
        key for key in dict.fromkeys(k for c in records.values() for k in c) if key not in FACTS
    ]
    rows = []
    for key in keys:
        values = [counts.get(key) for counts in records.values()]
        name = FACTS.get(key, str(key).replace("_", " ").capitalize())
        inner = dict.fromkeys(k for value in values if isinstance(value, Mapping) for k in value)
        if any(isinstance(value, Mapping) for value in values):
            if key == "rejected":
                totals = [sum((value or {}).values()) for value in values]
                rows.append({"name": name, "cells": [f"{n:,}" for n in totals], "inner": False})
            for part in inner:
                cells = [_cell((value or {}).get(part), key) for value in values]
                part_name = f"{name}: {part}" if key != "rejected" else str(part)
                rows.append({"name": part_name, "cells": cells, "inner": key == "rejected"})
        else:
            rows.append(
                {"name": name, "cells": [_cell(value, key) for value in values], "inner": False}
            )
    return {"tasks": list(records), "rows": rows}


def _cell(value, key: str) -> str:
    if value is None:
        return numbers.NOTHING
    if key == "padding_share" and numbers.finite(value):
        return f"{100 * float(value):.1f}%"
    if isinstance(value, str) or not numbers.finite(value):
        return str(value)
    number = float(value)
    return f"{round(number):,}" if number == round(number) else f"{number:,.4g}"
