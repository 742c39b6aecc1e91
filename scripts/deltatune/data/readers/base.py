"""What the readers of all formats share: limits, and what a source of records is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

from deltatune.data.reasons import Reason

BATCH = 10_000
"""Records that are held in memory at once."""
COLUMN_LIMIT = 1_000
"""Columns that are taken when `columns` names none."""


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
