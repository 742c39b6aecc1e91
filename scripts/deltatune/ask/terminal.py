"""Two texts beside each other in a terminal, also while they grow."""

from __future__ import annotations

import shutil
import unicodedata
from typing import TextIO

from deltatune.core.text import sanitize

GAP = " │ "
NARROW = 60
"""Columns below which the texts stand under each other."""


def printable(text: str) -> str:
    """The text without what a terminal would obey: control characters, and marks that turn the
    direction of writing. A model may have learned to write them."""
    return sanitize(text.expandtabs(4).replace("\r\n", "\n"), replace=lambda _: "")


def cells(text: str) -> int:
    """Columns that a text takes: wide East Asian ones two, combining and joiners none."""
    return sum(
        0
        if unicodedata.combining(c) or unicodedata.category(c) == "Cf"
        else 2
        if unicodedata.east_asian_width(c) in "WF"
        else 1
        for c in text
    )


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces where there are any. width: 2 or more."""
    lines = []
    for paragraph in printable(text).split("\n"):
        line = ""
        for word in paragraph.split(" "):
            candidate = f"{line} {word}" if line else word
            if cells(candidate) <= width:
                line = candidate
                continue
            if line:
                lines.append(line)
            line = word
            while cells(line) > width:
                cut = 1
                while cells(line[: cut + 1]) <= width:
                    cut += 1
                lines.append(line[:cut])
                line = line[cut:]
        lines.append(line)
    return lines


def columns(titles: tuple[str, str], texts: tuple[str, str], width: int) -> list[str]:
    """Lines of at most `width` columns: a title and its text on the left and on the right, or
    under each other where the window is narrow."""
    if width < NARROW:
        (first, second), (upper, lower) = titles, texts
        stacked = [("", first), ("  ", upper), ("", ""), ("", second), ("  ", lower)]
        return [
            f"{indent}{line}".rstrip()
            for indent, text in stacked
            for line in wrap(text, max(2, width - len(indent)))
        ]
    left = (width - len(GAP)) // 2
    sides = [
        [*wrap(title, left), "─" * left, *wrap(text, left)]
        for title, text in zip(titles, texts, strict=True)
    ]
    height = max(map(len, sides))
    padded = [side + [""] * (height - len(side)) for side in sides]
    return [f"{a}{' ' * (left - cells(a))}{GAP}{b}".rstrip() for a, b in zip(*padded, strict=True)]


def table(rows: list[tuple[str, float, float]], width: int) -> list[str]:
    """Labels with their shares under base and tuned; `*` marks the likeliest of each."""
    longest = max(cells(printable(name)) for name, _, _ in rows)
    room = max(4, min(longest, width - 22))
    best = [max(range(len(rows)), key=lambda i: rows[i][side]) for side in (1, 2)]
    lines = [f"{'':{room}}  {'base':>8}  {'tuned':>8}"]
    for number, (name, *shares) in enumerate(rows):
        name = wrap(name.replace("\n", " "), room)[0]
        figures = "  ".join(
            f"{share:>7.1%}{'*' if number == best[side] else ' '}"
            for side, share in enumerate(shares)
        )
        lines.append(f"{name}{' ' * (room - cells(name))}  {figures}".rstrip())
    return lines


def window() -> tuple[int, int]:
    """Columns and rows. The last column stays free: some terminals break a line that fills it."""
    size = shutil.get_terminal_size((80, 24))
    return max(size.columns - 1, 10), max(size.lines, 6)


class Live:
    """Lines that are drawn again as they change; in a pipe, only the last state is printed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._drawn = stream, 0
        self._moves = stream.isatty()

    def draw(self, lines: list[str], last: bool = False) -> None:
        """While the lines are more than the window has, the newest of them are shown; at last,
        all of them."""
        if not last:
            if not self._moves:
                return
            _, rows = window()
            lines = lines[-(rows - 2) :]
        if self._drawn:
            # To the first line that was drawn, and from there everything away.
            self._stream.write(f"\033[{self._drawn}F\033[J")
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()
        self._drawn = 0 if last else len(lines)
