"""How a record that was left out is put on file: its number, the field, the reason, a glimpse."""

from __future__ import annotations

import reprlib
from typing import Any

COLUMNS = ["row", "field", "reason", "excerpt"]
EXCERPT = 80


def excerpt(value: Any, length: int = EXCERPT) -> str:
    """At most `length` printable characters of a value, on one line; an ellipsis marks a cut.

    Whatever cannot be shown (control characters, bytes that are not UTF-8) becomes U+FFFD.
    """
    if value is None:
        return ""
    text = value if isinstance(value, str) else reprlib.repr(value)
    # Only the beginning is looked at: a field may be megabytes long.
    start = text.lstrip()
    line = " ".join(start[: 4 * length].split())
    shown = "".join(c if c.isprintable() else "\ufffd" for c in line)
    if len(shown) <= length and len(start) <= 4 * length:
        return shown
    return shown[: length - 1] + "…"
