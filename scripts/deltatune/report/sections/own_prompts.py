"""Answers to prompts of one's own, base and tuned side by side, without scores."""

from deltatune.report import markup
from deltatune.report.data import ReportData

NAME, TITLE = "own_prompts", "Own prompts"


def view(data: ReportData) -> list[dict] | None:
    """One entry for each experiment: its prompts, each with the answer of every system."""
    return [
        {
            "name": name,
            "task": data.experiments[name].get("task", ""),
            "rows": [
                {
                    "text": markup.show(row.pop("text"), limit=2000),
                    "answers": [
                        {"system": system, "text": markup.show(answer, limit=2000)}
                        for system, answer in row.items()
                    ],
                }
                for row in frame.to_dict("records")
            ],
        }
        for name, frame in data.own_answers.items()
    ] or None
