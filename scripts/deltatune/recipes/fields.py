"""What becomes of a field of another program: the types of the tables, and looking a field up.

A table names every field that the other program publishes. Names are facts; what is said of them
is about this project.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ours", "always", "unneeded", "none", "refused"]

MEANINGS: dict[Status, str] = {
    "ours": "a setting here",
    "always": "always so here",
    "unneeded": "not needed",
    "none": "without counterpart",
    "refused": "refused where it is set",
}


@dataclass(frozen=True)
class Field:
    """ours: `text` is the key in config.yaml, NAME for any name. Otherwise a reason in words."""

    name: str
    status: Status
    text: str


Rows = Iterable[tuple[Status, str, str]]
"""(status, key or reason, names with spaces between them), one for each reason."""


@dataclass(frozen=True)
class Program:
    """A program whose recipes are translated, and the version that its fields were read in.

    lists: fields that hold a list of mappings, whose keys are fields too (`datasets[].path`).
    told_by: fields that only its files have, by which one is recognized.
    """

    title: str
    version: str
    repository: str
    commit: str
    read_from: str
    lists: tuple[str, ...]
    told_by: tuple[str, ...]
    contrary: dict[str, tuple[Any, str]]
    """Field that is always so here -> (the value that asks for something else, what differs)."""
    fields: dict[str, Field]

    def places(self, recipe: dict[str, Any]) -> dict[str, tuple[str, Any]]:
        """Place in a recipe -> (name of the field, value): {"datasets.0.path": ("datasets[].path",
        "a/b"), ...}."""
        places: dict[str, tuple[str, Any]] = {}
        for key, value in recipe.items():
            items = value if key in self.lists and isinstance(value, list) else None
            if not items or not all(isinstance(item, dict) for item in items):
                places[key] = key, value
                continue
            for number, item in enumerate(items):
                for inner, part in item.items():
                    places[f"{key}.{number}.{inner}"] = f"{key}[].{inner}", part
        return places


def table(rows: Rows) -> dict[str, Field]:
    """Name -> field. Raises ValueError for a name that stands twice."""
    fields: dict[str, Field] = {}
    for status, text, names in rows:
        for name in names.split():
            if name in fields:
                raise ValueError(f"{name} stands twice")
            fields[name] = Field(name, status, text)
    return fields


def is_set(value: Any) -> bool:
    """Whether a value asks for anything: null, false, 0, "", [] and {} do not."""
    return value not in (None, False, 0, "", "none", "no") and value != [] and value != {}
