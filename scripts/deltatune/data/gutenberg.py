"""Books of Project Gutenberg without what stands before and behind them.

Since about 2003 the book stands between `*** START OF ...` and `*** END OF ...`; before that it
begins after the "small print", and ends with "End of the Project Gutenberg Etext of ...".
"""

from __future__ import annotations

import re
from typing import NamedTuple

# *** START OF THE PROJECT GUTENBERG EBOOK 84 ***, with or without spaces, THIS or THE, EBOOK or
# ETEXT. A long title runs over several lines.
_START = re.compile(
    r"^ *\*{3} *START OF TH(?:IS|E) PROJECT GUTENBERG\b[^*]*(?:\*{3})?[ \t]*$", re.M
)
# *END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*
_SMALL_PRINT_ENDS = re.compile(r"^ *\*END[* ]*THE SMALL PRINT!.*$", re.M)
_END = re.compile(
    r"^ *(?:\*{3} *END OF TH(?:IS|E) PROJECT GUTENBERG\b"
    r"|(?:\*{3} *)?End of (?:the |this )?Project Gutenberg(?:'s|’s)?\b)",
    re.M | re.I,
)
# Who typed it in stands between the marker and the title page.
_CREDITS = re.compile(
    r"\s*(?:Produced|E-?text prepared|This e-?text was (?:produced|prepared)|Transcribed|"
    r"HTML version|Credits:)\b",
    re.I,
)


class Book(NamedTuple):
    text: str
    header_lines: int
    footer_lines: int


def strip(text: str) -> Book | None:
    """The book without header, credits, small print and footer, or None without their markers.

    Both ends are needed: half a book would be worse than a header in it.
    """
    text = text.replace("\r\n", "\n")
    starts = [*_START.finditer(text), *_SMALL_PRINT_ENDS.finditer(text)]
    for start in sorted(starts, key=lambda match: match.end(), reverse=True):
        # Some editions carry the small print again behind the book: then nothing follows it.
        end = _END.search(text, start.end())
        if end and text[start.end() : end.start()].strip():
            break
    else:
        return None
    body = text[start.end() : end.start()]
    while _CREDITS.match(body):
        body = body.lstrip().partition("\n\n")[2]
    body = body.strip("\n")
    at = text.index(body, start.end())
    header, footer = text[:at], text[at + len(body) :]
    return Book(body + "\n", header.count("\n"), len(footer.strip("\n").splitlines()))


def decode(data: bytes) -> str:
    """The text of a book's file: UTF-8, or the Latin-1 of older editions."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        # A superset of the printable part of ISO-8859-1, in which they were written.
        return data.decode("cp1252", errors="replace")
