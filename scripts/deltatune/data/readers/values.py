"""The text of a value, whatever its type in the file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from deltatune.data.reasons import Code, Reason

FIELD_LIMIT = 16 * 2**20
"""Characters of the longest field that is kept."""
BETWEEN = ", "
"""Between the values of a list that a template joins."""

# surrogateescape turns a byte that is not UTF-8 into one of these; JSON can also spell them.
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def as_text(value: Any) -> str | Reason | None:
    """The text of a value, None for a missing one, or why it has none.

    Text stays as it is. Numbers, true and false, dates and times become text as JSON and ISO 8601
    write them, a number without a fraction as an integer; NaN counts as missing. Lists, objects
    and infinite numbers have no text.
    """
    if type(value) is str:
        if len(value) > FIELD_LIMIT:
            return Reason(Code.TOO_LONG)
        if "\0" in value:
            return Reason(Code.NUL_BYTE)
        if not value.isascii() and _SURROGATE.search(value):
            return Reason(Code.NOT_UTF8)
        return value
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float | Decimal):
        return _number(value)
    if isinstance(value, date | time | timedelta | UUID):
        return str(value)
    if isinstance(value, bytes):
        return as_text(value.decode("utf-8", errors="surrogateescape"))
    return Reason(Code.WRONG_TYPE, value=type(value).__name__)


def as_json(value: Any) -> str | Reason | None:
    """The text of a value; of a list or an object that of JSON."""
    if isinstance(value, list | tuple | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    return as_text(value)


def _number(value: float | Decimal) -> str | Reason | None:
    if value != value:
        return None
    if abs(value) == float("inf"):
        return Reason(Code.WRONG_TYPE, value="infinite number")
    if isinstance(value, Decimal):
        return format(value, "f")
    return str(int(value)) if value.is_integer() else float.__repr__(value)


def converted(value: Any) -> str | None:
    """The type of a value that is no text in the file, None where its text is no question: text
    itself, and numbers without a fraction."""
    if value is None or isinstance(value, str | bytes):
        return None
    is_whole = isinstance(value, float) and (value != value or value.is_integer())
    if is_whole or (isinstance(value, int) and not isinstance(value, bool)):
        return None
    return type(value).__name__


def joined(value: Any) -> str | Reason | None:
    """The text of a value, of a list that of all its values."""
    if not isinstance(value, list | tuple):
        return as_text(value)
    texts = [as_text(item) for item in value]
    reason = next((text for text in texts if isinstance(text, Reason)), None)
    if reason is not None:
        return reason
    text = BETWEEN.join(text for text in texts if text is not None)
    return as_text(text) if value else None


def inside(value: Any, path: Sequence[str]) -> Any:
    """What lies in an object by its keys, in a list by a number from 0 or, by a key, of each of
    its objects; None where nothing does."""
    for number, key in enumerate(path):
        if isinstance(value, dict):
            value = value.get(key)
        elif isinstance(value, list) and key.isdecimal() and len(key) < 9:
            value = value[int(key)] if int(key) < len(value) else None
        elif isinstance(value, list):
            return [inside(item, path[number:]) for item in value]
        else:
            return None
    return value
