"""Two texts beside each other keep within the window, whatever a model writes."""

from __future__ import annotations

import io
import os

import pytest
from deltatune.ask import terminal
from deltatune.ask.terminal import Live, cells, columns, printable, table, wrap
from hypothesis import given
from hypothesis import strategies as st


def test_what_a_terminal_obeys_is_left_out():
    assert printable("a\x1b[31mb\x07\x9b2Jc\u202ed\r\ne\tf") == "a[31mb2Jcd\ne   f"


def test_wide_and_combining_characters_are_counted_as_they_are_drawn():
    assert cells("河") == 2
    assert cells("e\u0301") == 1
    assert cells("abc") == 3


def test_lines_break_at_spaces():
    assert wrap("the river had risen", 10) == ["the river", "had risen"]
    assert wrap("one\n\ntwo", 10) == ["one", "", "two"]
    assert wrap("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrap("", 4) == [""]


@given(st.text(), st.integers(2, 40))
def test_no_line_is_too_wide_and_nothing_is_lost(text, width):
    lines = wrap(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(printable(text).split())


@given(st.text(), st.text(), st.integers(10, 150))
def test_columns_keep_within_the_window(left, right, width):
    assert all(cells(line) <= width for line in columns(("base", "tuned"), (left, right), width))


def test_two_columns():
    shown = columns(("base", "tuned"), ("one two", "three"), 63)
    assert shown == [
        f"base{' ' * 26} │ tuned",
        f"{'─' * 30} │ {'─' * 30}",
        f"one two{' ' * 23} │ three",
    ]


def test_in_a_narrow_window_they_stand_under_each_other():
    assert columns(("base", "tuned"), ("one", "two"), 40) == ["base", "  one", "", "tuned", "  two"]


def test_table_marks_the_likeliest_of_each():
    rows = [("World", 0.7, 0.1), ("Sci/Tech", 0.3, 0.9)]
    lines = table(rows, 80)
    assert lines[0].split() == ["base", "tuned"]
    assert lines[1].split() == ["World", "70.0%*", "10.0%"]
    assert lines[2].split() == ["Sci/Tech", "30.0%", "90.0%*"]
    assert all(cells(line) <= 30 for line in table([("a" * 90, 0.5, 0.5), *rows], 30))


class Screen(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_is_drawn_again_in_place(monkeypatch):
    monkeypatch.setattr(terminal, "window", lambda: (80, 10))
    screen = Screen()
    live = Live(screen)
    live.draw(["a"])
    live.draw(["a", "b"])
    live.draw(["a", "b", "c"], last=True)
    assert screen.getvalue() == "a\n\x1b[1F\x1b[Ja\nb\n\x1b[2F\x1b[Ja\nb\nc\n"


def test_while_it_grows_no_more_is_drawn_than_the_window_has(monkeypatch):
    """Lines that have scrolled away could not be drawn again."""
    monkeypatch.setattr(terminal, "window", lambda: (80, 10))
    screen = Screen()
    live = Live(screen)
    lines = [str(number) for number in range(30)]
    live.draw(lines)
    assert screen.getvalue().split() == lines[-8:]
    live.draw(lines, last=True)
    assert screen.getvalue().endswith("\n".join(lines) + "\n")


def test_a_pipe_gets_the_last_state_alone():
    pipe = io.StringIO()
    live = Live(pipe)
    live.draw(["a"])
    live.draw(["a", "b"], last=True)
    assert pipe.getvalue() == "a\nb\n"


@pytest.mark.parametrize(("told", "width"), [("120", 119), ("5", 10)])
def test_the_width_is_that_of_the_window(monkeypatch, told, width):
    monkeypatch.setitem(os.environ, "COLUMNS", told)
    assert terminal.window()[0] == width
