"""Objects and lists inside the values of a table."""

from __future__ import annotations

from typing import Any


def without_fillers(value: Any) -> Any:
    """A value of a table, whose objects have each key in each row, without the keys that have no
    value. In JSON a null is a value that somebody wrote, such as an argument of a call."""
    if isinstance(value, dict):
        return {str(k): without_fillers(item) for k, item in value.items() if item is not None}
    return [without_fillers(item) for item in value] if isinstance(value, list | tuple) else value
