"""A task's first row in the terminal: marks that read without color, and color where there is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from deltatune.preview.rows import Run
from deltatune.preview.tasks import TaskView
from deltatune.preview.tokens import Token
from deltatune.preview.words import piece_title, row_title, token_text

Painted = tuple[str, str]
"""A text and the codes of its style, as `core.terminal` takes them."""

BETWEEN, OPEN, CLOSE, NAME_OPEN, NAME_CLOSE = "¦⟦⟧⟨⟩"
LEGEND = (
    f"{OPEN}the loss is taken on this{CLOSE}, {NAME_OPEN}special token{NAME_CLOSE}, {BETWEEN} "
    "between two tokens, é₂ one character of two tokens, ↵ line break, ⇥ tab, \\u00a0 what cannot "
    "be seen"
)
PIECES = 3
"""Documents of a row that are shown; the page has all of them."""
KEEP = 60
"""Tokens of a run that are shown."""
HEADING, FAINT, SUPERVISED, SPECIAL, WARNING = "1", "2", "32", "35", "1;33"
_INDENT = "    "


def lines(view: TaskView) -> Iterator[Painted]:
    """A task, as text and styles."""
    shown = view.settings
    yield f"{shown.task}: {shown.kind}, as {shown.model} reads it\n", HEADING
    yield f"  {view.sentence}\n", ""
    if view.cuts:
        yield f"  {view.cuts}\n", WARNING
    if view.unsupervised:
        yield f"  {view.unsupervised}\n", WARNING
    for row in view.rows[:1]:
        yield f"  {row_title(row, view.figures['rows'])}\n", HEADING
        for piece in row.pieces[:PIECES]:
            yield (
                f"  - {piece_title(piece, shown.truncation)}\n{_INDENT}",
                FAINT if piece.supervised else WARNING,
            )
            yield from _indented(painted for run in piece.runs for painted in _run(run))
            yield "\n", ""
        if len(row.pieces) > PIECES:
            yield f"  and {len(row.pieces) - PIECES:,} more in this row\n", FAINT


def _run(run: Run) -> Iterator[Painted]:
    if run.supervised:
        yield OPEN, SUPERVISED
    yield from _tokens(run.head, run.supervised)
    if run.left_out:
        yield f" … {run.left_out:,} tokens … ", FAINT
        yield from _tokens(run.tail, run.supervised)
    if run.supervised:
        yield CLOSE, SUPERVISED


def _tokens(tokens: Iterable[Token], supervised: bool) -> Iterator[Painted]:
    for place, token in enumerate(tokens):
        if place:
            yield BETWEEN, FAINT
        text = token_text(token, f"{BETWEEN}{OPEN}{CLOSE}{NAME_OPEN}{NAME_CLOSE}")
        if token.special:
            yield f"{NAME_OPEN}{text}{NAME_CLOSE}", SPECIAL
        else:
            yield text, SUPERVISED if supervised else ""


def _indented(pieces: Iterable[Painted]) -> Iterator[Painted]:
    for text, style in pieces:
        yield text.replace("\n", f"\n{_INDENT}"), style
