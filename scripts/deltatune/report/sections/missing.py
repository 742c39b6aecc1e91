"""What is not there of a run that is not finished, and why."""

from __future__ import annotations

from deltatune.report.data import ReportData

NAME, TITLE = "missing", "Missing"
SHOWN = 6
"""Results that are named at once; the others are folded."""


def view(data: ReportData) -> dict[str, list[str]] | None:
    """A sentence for each result that is missing; None for a run that is finished."""
    if not data.missing_results:
        return None
    return {"reasons": data.missing_results[:SHOWN], "others": data.missing_results[SHOWN:]}
