"""Why a record was left out: a code with its details, and the prose that is made of them.

Counts in manifests and the `code` column of rejects.csv and excluded.csv hold the codes; prose is
for people, and nothing reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deltatune.core.text import excerpt, suggestion

COLUMNS = ["row", "field", "code", "reason", "excerpt"]
"""Of a table of records that were left out, see `Reason.line`."""


class Code(StrEnum):
    """Each member: its value, which stands in files and stays as it is; its label, for people;
    what its details add to the label."""

    label: str
    details: str

    def __new__(cls, value: str, label: str, details: str = "") -> Code:
        code = str.__new__(cls, value)
        code._value_, code.label, code.details = value, label, details
        return code

    # In a file.
    NOT_UTF8 = "not_utf8", "not UTF-8"
    NUL_BYTE = "nul_byte", "NUL byte"
    TOO_LONG = "too_long", "field too long"
    WRONG_TYPE = "wrong_type", "wrong type", " ({value})"
    WRONG_COLUMNS = "wrong_columns", "wrong number of columns"
    BAD_QUOTING = "bad_quoting", "bad quoting"
    NOT_JSON = "not_json", "not JSON"
    NOT_AN_OBJECT = "not_an_object", "not an object"
    # For a task.
    MISSING = "missing", "missing"
    EMPTY = "empty", "empty"
    UNKNOWN_LABEL = "unknown_label", "unknown label", " '{value}'{suggestion}"
    # Beside the other records.
    DUPLICATE = "duplicate", "duplicate", " of row {row}"
    CONFLICTING_LABEL = "conflicting_label", "conflicting label", " with row {row}"
    NEAR_DUPLICATE = "near_duplicate", "near duplicate", " of {split} row {row}"


@dataclass(frozen=True)
class Reason:
    code: Code
    field: str = ""
    """The field that is at fault; "" for the whole record."""
    value: str = ""
    """The type or the label that it has."""
    nearest: str | None = None
    """The known label that was probably meant."""
    split: str = ""
    row: int | None = None
    """The record that it repeats, and the split that it is in."""

    def __str__(self) -> str:
        """Prose, such as `duplicate of row 3`."""
        details = self.code.details.format(
            value=self.value, suggestion=suggestion(self.nearest), split=self.split, row=self.row
        )
        return self.code.label + details

    def line(self, row: int, value: Any) -> tuple[int, str, str, str, str]:
        """A line of a table of COLUMNS. row: number of the record; value: what to show of it."""
        return row, self.field, self.code.value, str(self), excerpt(value)
