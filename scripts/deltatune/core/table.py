"""One model of a table, whatever it is written as: CSV, Markdown, terminal (`core.table_text`) or
HTML (`report.table_html`)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

NOTHING = "–"
"""What stands where a cell has nothing."""


@dataclass(frozen=True)
class Column:
    """The first column of a table names its rows."""

    key: str
    """Its name in CSV, with the unit: `peak_memory_gb`."""
    title: str
    kind: Literal["text", "number", "range", "badge"] = "text"
    """number, range (`0.4 to 0.6`): aligned to the right. badge: an outcome. Only texts are broken
    into lines."""
    over: str = ""
    """A title over this and its neighbors with the same one."""


@dataclass(frozen=True)
class Cell:
    """Plain text: each writer escapes what it must."""

    text: str = NOTHING
    value: float | None = None
    """What it is sorted by; a number is written so in CSV as well."""
    href: str = ""
    """Where it leads, on the page alone."""
    strong: bool = False
    title: str = ""
    """The whole of what `text` shortens."""
    tone: str = ""
    """A class of the style sheet: the outcome of a badge."""
    share: float | None = None
    """Drawn as a bar of this share, 0 to 1, on the page alone."""

    @property
    def known(self) -> bool:
        """Whether its value is a number, infinite ones included."""
        return self.value is not None and not math.isnan(self.value)


EMPTY = Cell()


@dataclass(frozen=True)
class Row:
    cells: Mapping[str, Cell]
    """By key of the column; what is absent is `EMPTY`."""
    inner: bool = False
    """A part of the row above it."""

    def cell(self, column: Column) -> Cell:
        return self.cells.get(column.key, EMPTY)


@dataclass(frozen=True)
class Group:
    """Rows that belong together and stay so when the table is sorted, by the first of them."""

    rows: Sequence[Row]
    title: str = ""


@dataclass(frozen=True)
class Table:
    name: str
    """Its id on the page, and the stem of its files: letters, digits and hyphens."""
    title: str
    columns: Sequence[Column]
    groups: Sequence[Group]
    foot: Row | None = None
    """The sums."""
    sortable: bool = False

    @property
    def rows(self) -> Iterator[Row]:
        """All rows but the foot."""
        return (row for group in self.groups for row in group.rows)

    @property
    def grouped(self) -> bool:
        return any(group.title for group in self.groups)


def table(
    name: str,
    title: str,
    columns: Sequence[Column],
    rows: Sequence[Row],
    *,
    foot: Row | None = None,
    sortable: bool = False,
) -> Table:
    """A table of one group without a title."""
    return Table(name, title, columns, [Group(rows)], foot, sortable)
