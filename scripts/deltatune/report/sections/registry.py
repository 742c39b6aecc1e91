"""The sections of the page, in its order.

A section is a module here and a template of the same name in report/sections/. The module gives
`NAME` (its own, and the anchor on the page), `TITLE` (its heading, and its entry in the navigation)
and `view(data)`: what the template reads as `view`, or None where the section is left out.
"""

from __future__ import annotations

from typing import Any, Protocol

from deltatune.report import pairs
from deltatune.report.data import ReportData
from deltatune.report.sections import (
    behavior,
    costs,
    differences,
    downloads,
    examples,
    limits,
    losses,
    matrix,
    missing,
    own_prompts,
    provenance,
    records,
    repeat,
    results,
    tasks,
)


class Section(Protocol):
    NAME: str
    TITLE: str

    def view(self, data: ReportData) -> Any: ...


SECTIONS: tuple[Section, ...] = (
    missing,
    matrix,
    results,
    limits,
    differences,
    tasks,
    behavior,
    examples,
    own_prompts,
    losses,
    costs,
    records,
    provenance,
    repeat,
    downloads,
)


def views(data: ReportData) -> list[dict[str, Any]]:
    """Of each section that the run has: its name, title, template, what the template reads, and
    whether there are so many experiments that what is of one is folded."""
    return [
        {
            "name": section.NAME,
            "title": section.TITLE,
            "template": f"sections/{section.NAME}.html.j2",
            "view": view,
            "many": pairs.are_many(data),
        }
        for section in SECTIONS
        if (view := section.view(data)) is not None
    ]
