"""Names as short labels that still tell one from another."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from numbers import Integral

from deltatune.core.table_text import width
from deltatune.report.text import clean

ELLIPSIS = "…"
LOOKED_AT = 2000
"""Characters at each end of a text that labels are made of: it may have megabytes."""
LONGEST_ID = 200


def one_line(text) -> str:
    """The text in one line of visible characters."""
    return " ".join(clean(text).split())


def shorten(text, limit: int) -> str:
    """One line of at most `limit` columns; an ellipsis at the end where it is cut."""
    cut = isinstance(text, str) and len(text) > limit + LOOKED_AT
    text = one_line(text[: limit + LOOKED_AT] if cut else text)
    fits = width(text) <= limit and not cut
    return text if fits else _start(text, limit - 1) + ELLIPSIS


def record_id(one) -> int | str:
    """An id as the page names it and links to it: a long one is its beginning and its digest."""
    if isinstance(one, Integral):
        return int(one)
    text = str(one)
    if len(text) <= LONGEST_ID:
        return clean(text)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{clean(text[: LONGEST_ID // 2])}{ELLIPSIS}{digest[:16]}"


def unique(names: Collection[str], limit: int = 24) -> dict[str, str]:
    """name → its label, at most `limit` columns wide, and no two alike.

    Where a name is wider, the beginning that all share is taken off (after the last mark between
    words), an ellipsis in its place. What is still too wide loses its middle: names of a sweep
    differ at their ends. A number follows where two labels would be alike.
    """
    texts = {name: one_line(_ends(name)) for name in dict.fromkeys(names)}
    if any(width(text) > limit for text in texts.values()):
        shared = _shared(list(texts.values()))
        texts = {name: ELLIPSIS * bool(shared) + text[shared:] for name, text in texts.items()}
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for name, text in texts.items():
        label, number = _without_middle(text, limit), 1
        while label in taken:
            number += 1
            label = f"{_without_middle(text, limit - 3 - len(str(number)))} ({number})"
        labels[name] = label
        taken.add(label)
    return labels


def _shared(texts: list[str]) -> int:
    """How many characters all begin with, up to the last mark between words; 0 for one text, and
    where a text would lose all."""
    if len(texts) < 2:
        return 0
    # The smallest and the largest text differ at the first place where any two do.
    smallest, largest = min(texts), max(texts)
    pairs = enumerate(zip(smallest, largest, strict=False))
    same = next((place for place, (a, b) in pairs if a != b), len(smallest))
    ends = [match.end() for match in re.finditer(r"[-_./: ]", smallest[:same])]
    return max((end for end in ends if end < min(map(len, texts))), default=0)


def _ends(text: str) -> str:
    return text if len(text) <= 2 * LOOKED_AT else text[:LOOKED_AT] + text[-LOOKED_AT:]


def _without_middle(text: str, limit: int) -> str:
    if width(text) <= limit:
        return text
    end = (limit - 1) // 2
    return _start(text, limit - 1 - end) + ELLIPSIS + _start(text[::-1], end)[::-1]


def _start(text: str, limit: int) -> str:
    """As much of the beginning as `limit` columns hold."""
    taken = 0
    for place, one in enumerate(text):
        taken += width(one)
        if taken > limit:
            return text[:place]
    return text
