"""Two texts beside each other in a terminal, also while they grow.

Whatever a model writes is shown as plain text: what would steer the terminal is replaced, and
nothing is taken for rich's markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from deltatune.core.text import sanitize

NARROW = 60
"""Columns below which the texts stand under each other."""
PER_SECOND = 20
"""Drawings while an answer grows: often enough to be read as it comes, without a flicker."""


def console() -> Console:
    """Standard output, in a terminal or a pipe."""
    return Console(markup=False, emoji=False, highlight=False)


def plain(text: str) -> Text:
    """A text of a model or a user, to be shown as it is."""
    return Text(sanitize(text.replace("\r\n", "\n")))


class SideBySide:
    """Two texts with their titles, or under each other in a narrow window. Both may change."""

    def __init__(self, names: tuple[str, str]) -> None:
        self.names = names
        self.titles = dict(zip(names, names, strict=True))
        self.texts = dict.fromkeys(names, "")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if options.max_width < NARROW:
            for number, name in enumerate(self.names):
                yield from [Text("")] if number else []
                yield plain(self.titles[name])
                yield Padding(plain(self.texts[name]), (0, 0, 0, 2))
            return
        table = Table(box=box.SQUARE, expand=True, show_edge=False, pad_edge=False)
        for name in self.names:
            table.add_column(plain(self.titles[name]), ratio=1, overflow="fold")
        table.add_row(*(plain(self.texts[name]) for name in self.names))
        yield table


class _Newest:
    """The last lines of something, as many as the window has; `whole` shows all of them."""

    def __init__(self, inner: RenderableType) -> None:
        self._inner = inner
        self.whole = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._inner, options, pad=False)
        for line in lines if self.whole else lines[-options.size.height :]:
            yield from line
            yield Segment.line()


@contextmanager
def live(console: Console, growing: RenderableType) -> Iterator[None]:
    """Draw something again and again while it grows, and whole at the end.

    Lines that have scrolled away could not be drawn again, so until then only the newest are
    shown. In a pipe the last state alone is printed.
    """
    shown = _Newest(growing)
    with Live(shown, console=console, refresh_per_second=PER_SECOND):
        try:
            yield
        finally:
            shown.whole = True


def label_table(rows: list[tuple[str, float, float]]) -> Table:
    """Labels with their shares under base and tuned; `*` marks the likeliest of each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("", overflow="fold")
    for title in ("base", "tuned"):
        table.add_column(f"{title:>7}", no_wrap=True, min_width=8)
    best = [max(range(len(rows)), key=lambda i: rows[i][side]) for side in (1, 2)]
    for number, (name, *shares) in enumerate(rows):
        figures = [
            f"{share:>7.1%}{'*' if number == best[side] else ''}"
            for side, share in enumerate(shares)
        ]
        table.add_row(plain(name.replace("\n", " ")), *figures)
    return table
