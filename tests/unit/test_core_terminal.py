"""What is printed with styles: color on a terminal that wants it, and nowhere else."""

import os

import pytest
from deltatune.core.terminal import Terminal

PIECES = [("plain \x1b[2J ", ""), ("green", "32"), ("\n", "")]


@pytest.fixture
def pty(monkeypatch):
    """A terminal of one's own: (the end that a job writes to, a function that reads the other)."""
    ours, theirs = os.openpty()
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    yield theirs, lambda: os.read(ours, 4096).decode().replace("\r\n", "\n")
    os.close(ours)
    os.close(theirs)


def test_a_terminal_shows_styles_and_the_log_does_not(pty, capsys):
    descriptor, shown = pty
    Terminal(descriptor, "a job").paint(PIECES)
    assert shown() == "plain \ufffd[2J \x1b[32mgreen\x1b[0m\n\n"
    assert capsys.readouterr().out == "plain \ufffd[2J green\n\n"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_color_where_none_is_wanted(pty, monkeypatch, name, value):
    descriptor, shown = pty
    monkeypatch.setenv(name, value)
    Terminal(descriptor, "a job").paint(PIECES)
    assert shown() == "plain \ufffd[2J green\n\n"


def test_no_color_in_a_file(tmp_path, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    with (tmp_path / "output").open("w") as file:
        Terminal(file.fileno(), "a job").paint([*PIECES, ("x" * 100_000, "32")])
    assert (tmp_path / "output").read_text() == "plain \ufffd[2J green\n" + "x" * 100_000 + "\n"
