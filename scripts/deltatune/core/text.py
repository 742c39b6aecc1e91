"""Text for people: foreign text made safe to show, excerpts, near matches, sizes of files."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Callable, Iterable
from typing import Any

EXCERPT = 80
"""Characters of an excerpt."""
REPLACEMENT = "\ufffd"
# C0 but tab and newline, DEL and C1; marks that turn the direction of writing, and a byte order
# mark; lone surrogates, which cannot be encoded.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str, keep: str = "\n\t") -> str:
    """Text for a message or a table: all that is not printable, but for `keep`, becomes U+FFFD."""
    return "".join(c if c.isprintable() or c in keep else REPLACEMENT for c in text)


def sanitize(text: str, replace: Callable[[str], str] = lambda _: REPLACEMENT) -> str:
    """A text of a model or a user, to be shown whole: spaces and joiners of any script stay.

    What would steer a terminal, turn the direction of writing or cannot be encoded is replaced by
    what `replace` makes of the character; newlines and tabs stay.
    """
    return _UNSAFE.sub(lambda match: replace(match.group()), text)


def excerpt(value: Any, length: int = EXCERPT) -> str:
    """At most `length` printable characters of a value, on one line; an ellipsis marks a cut."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else reprlib.repr(value)
    # Only the beginning is looked at: a field may be megabytes long.
    start = text.lstrip()
    line = printable(" ".join(start[: 4 * length].split()), keep="")
    if len(line) <= length and len(start) <= 4 * length:
        return line
    return line[: length - 1] + "…"


def nearest(word: Any, words: Iterable[str]) -> str | None:
    """The one of `words` that was probably meant, or None where none is near."""
    word, words = str(word), list(words)
    matches = difflib.get_close_matches(word, words, n=1, cutoff=0.6) or [
        other for other in words if other.casefold() == word.casefold()
    ]
    return matches[0] if matches else None


def suggestion(word: str | None) -> str:
    return "" if word is None else f" (did you mean '{excerpt(word)}'?)"


def did_you_mean(word: Any, words: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest of `words`, or "" where none is near."""
    return suggestion(nearest(word, words))


def duration(seconds: float) -> str:
    """Time for people: 40 s, 12 min, 3 h 05 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def file_size(count: float) -> str:
    """Bytes for people: 512 B, 1.5 MB, 14.5 GB."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
