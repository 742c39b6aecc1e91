"""Two texts beside each other keep within the window, whatever a model writes."""

from __future__ import annotations

import io
import re

import pytest
from deltatune.ask.terminal import SideBySide, console, label_table, live
from deltatune.core.text import sanitize
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

HOSTILE = "a\x1b[31mb\x07\x9b2Jc\u202ed\r\n[bold]e[/bold] :smile: 1e-4"
MOVES = re.compile(r"\x1b\[\??\d*[A-Za-z]|\r")


def window(width: int = 80, height: int = 10, terminal: bool = False) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=terminal,
        color_system=None,
        markup=False,
        emoji=False,
        highlight=False,
        legacy_windows=False,
    )


def lines(renderable, width: int = 80) -> list[str]:
    """What is drawn, without the spaces that fill a line."""
    drawn = window(width)
    drawn.print(renderable)
    return [line.rstrip() for line in drawn.file.getvalue().removesuffix("\n").split("\n")]


def answers(base: str, tuned: str) -> SideBySide:
    pair = SideBySide(("base", "tuned"))
    pair.texts = {"base": base, "tuned": tuned}
    return pair


def test_what_a_terminal_obeys_is_replaced_and_nothing_is_markup():
    """In a title, a text and a label alike, on the console that is used and on rich's own."""
    growing = answers(HOSTILE, HOSTILE)
    growing.titles["base"] = HOSTILE
    table = label_table([(HOSTILE, 1.0, 1.0)])
    for renderable, width in ((growing, 120), (growing, 50), (table, 80)):
        for drawn in (window(width), Console(file=io.StringIO(), width=width)):
            drawn.print(renderable)
            text = drawn.file.getvalue()
            assert sanitize(text) == text and "\x1b" not in text
            assert "[bold]e[/bold] :smile: 1e-4" in text


def test_the_console_takes_no_markup(capsys):
    console().print("[red]x[/red] :smile:")
    assert capsys.readouterr().out == "[red]x[/red] :smile:\n"


def test_two_columns():
    assert lines(answers("one two", "three"), 63) == [
        f"base{' ' * 27}│ tuned",
        f"{'─' * 31}┼{'─' * 31}",
        f"one two{' ' * 24}│ three",
    ]


def test_in_a_narrow_window_they_stand_under_each_other():
    assert lines(answers("one", "two"), 40) == ["base", "  one", "", "tuned", "  two"]


def test_lines_break_at_spaces_and_long_words_anywhere():
    narrow = lines(answers("the river had risen\n\nup", "abcdefghij"), 12)
    assert narrow == [
        *("base", "  the river", "  had risen", "", "  up", ""),
        *("tuned", "  abcdefghij"),
    ]
    assert lines(answers("abcdefghijklmno", ""), 12)[1:3] == ["  abcdefghij", "  klmno"]


@given(st.text(), st.text(), st.integers(10, 150))
def test_columns_keep_within_the_window(left, right, width):
    drawn = window(width)
    drawn.print(answers(left, right))
    assert all(cell_len(line) <= width for line in drawn.file.getvalue().split("\n"))


@given(st.text(st.characters(categories=("L", "N", "P", "Zs"))), st.integers(20, 59))
def test_nothing_is_lost(text, width):
    _, *body = lines(answers(text, ""), width)
    assert "".join("".join(body).split()) == "".join(sanitize(text).split()) + "tuned"


def test_table_marks_the_likeliest_of_each():
    rows = [("World", 0.7, 0.1), ("Sci/Tech", 0.3, 0.9)]
    header, world, science = lines(label_table(rows))
    assert header.split() == ["base", "tuned"]
    assert world.split() == ["World", "70.0%*", "10.0%"]
    assert science.split() == ["Sci/Tech", "30.0%", "90.0%*"]
    narrow = lines(label_table([("a" * 90, 0.5, 0.5), *rows]), 30)
    assert narrow[1].split()[1:] == ["50.0%", "50.0%"]
    assert "".join(narrow[:-2]).count("a") == 91, "a long label takes several lines"
    assert all(cell_len(line) <= 30 for line in narrow)


def test_a_terminal_is_drawn_again_in_place():
    screen, growing = window(terminal=True), answers("", "")
    with live(screen, growing):
        growing.texts["base"] = "one"
    growing_text = screen.file.getvalue()
    assert growing_text.count("base") == 2, "drawn at the start, and at the end"
    assert "\x1b[1A" in growing_text, "over what was there"
    assert growing_text.index("one") > growing_text.index("\x1b[1A")


def test_while_it_grows_no_more_is_drawn_than_the_window_has():
    """Lines that have scrolled away could not be drawn again."""
    screen = window(40, height=8, terminal=True)
    numbers = [f"n{number}" for number in range(30)]
    with live(screen, answers("\n".join(numbers), "")):
        growing = MOVES.sub("", screen.file.getvalue()).split()
        assert growing == [*numbers[-5:], "tuned"]
    assert MOVES.sub("", screen.file.getvalue()).split()[-32:] == ["base", *numbers, "tuned"]


@pytest.mark.parametrize("fails", [False, True])
def test_a_pipe_gets_the_last_state_alone(fails):
    pipe, growing = window(40), answers("a", "")
    try:
        with live(pipe, growing):
            growing.texts["base"] = "a b"
            growing.texts["tuned"] = "c"
            assert pipe.file.getvalue() == ""
            if fails:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    assert pipe.file.getvalue().split() == ["base", "a", "b", "tuned", "c"]
