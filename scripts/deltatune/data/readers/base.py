"""What the readers of all formats share: values, limits, and what a source of records is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from deltatune.data.reasons import Code, Reason

BATCH = 10_000
"""Records that are held in memory at once."""
FIELD_LIMIT = 16 * 2**20
"""Characters of the longest field that is kept."""
COLUMN_LIMIT = 1_000
"""Columns that are taken when `columns` names none."""

# surrogateescape turns a byte that is not UTF-8 into one of these; JSON can also spell them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class Rejected(NamedTuple):
    """A record that cannot be read: why, and what to show of it."""

    reason: Reason
    value: Any


Row = list[Any] | Rejected
"""Values in the order of the wanted columns, or why there are none."""


class Source(Protocol):
    """Records of any origin."""

    def names(self) -> list[str]:
        """The columns."""

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        """All records in order, each with the values of these columns or why there are none."""


def as_text(value: Any) -> str | Reason | None:
    """The text of a value, None for a missing one, or why it has none."""
    if value is None:
        return None
    kind = type(value)
    if kind is str:
        if len(value) > FIELD_LIMIT:
            return Reason(Code.TOO_LONG)
        if "\0" in value:
            return Reason(Code.NUL_BYTE)
        if not value.isascii() and _SURROGATE.search(value):
            return Reason(Code.NOT_UTF8)
        return value
    if kind is int:
        return str(value)
    if kind is float:
        if value != value:
            return None
        if value.is_integer():
            return str(int(value))
    return Reason(Code.WRONG_TYPE, value=kind.__name__)
