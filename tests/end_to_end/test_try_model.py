"""`python scripts/try_model.py` on finished results, as a person starts it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

COMMAND = [sys.executable, "scripts/try_model.py"]


def try_model(folder: Path, *arguments: str, columns: int = 80) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": str(columns)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def evaluated(small_run: Path, system: str) -> str:
    """How prose was continued in the evaluation: the answer to the first prompt."""
    folder = small_run / "results/evaluations/test/prose" / system
    return pd.read_parquet(folder / "answers.parquet")["answer"].iloc[0]


def test_both_continue_as_in_the_evaluation(small_run, default_config):
    prompt = default_config["tasks"]["prose"]["evaluation"]["continuations"][0]
    done = try_model(small_run, "prose-qlora", "--once", prompt)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    title, _, *body = done.stdout.splitlines()
    assert title.startswith("base (4 tokens, cut)") and "│ tuned (4 tokens, cut)" in title
    sides = zip(*(line.split("│") for line in body), strict=True)
    answers = [" ".join(" ".join(side).split()) for side in sides]
    systems = ("base/tiny-mistral/nf4", "tuned/prose-qlora/seed-1")
    assert answers == [" ".join(evaluated(small_run, system).split()) for system in systems]


def test_instructions_with_an_input_and_a_length(small_run):
    done = try_model(
        small_run,
        *("instructions-qlora", "--seed", "1", "--max-new-tokens", "3"),
        *("--input", "The Danube is long.", "--once", "Name the river."),
        columns=40,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("base (") and "\ntuned (" in done.stdout
    assert "3 tokens, cut" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 40


def test_labels_are_a_table(small_run):
    done = try_model(small_run, "news-qlora", "--once", "The team won the cup")
    assert done.returncode == 0, done.stderr
    header, *rows = done.stdout.splitlines()
    assert header.split() == ["base", "tuned"]
    assert [row.split()[0] for row in rows] == ["World", "Sports", "Business", "Sci/Tech"]
    assert done.stdout.count("*") == 2
    for side in (1, 2):
        shares = [float(row.replace("*", "").split()[side].rstrip("%")) for row in rows]
        assert sum(shares) == pytest.approx(100, abs=0.3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("prose-qlor",), "did you mean 'prose-qlora'?"),
        (
            ("prose-qlora", "--seed", "7"),
            "    snakemake --cores 1 results/experiments/prose-qlora/seed-7/adapter.sha256\n",
        ),
        (("prose-qlora", "--configfile", "no.yaml"), "There is no 'no.yaml' here"),
        (("prose-qlora", "--input", "x"), "takes no input"),
    ],
)
def test_what_cannot_be_done_is_refused(small_run, arguments, message):
    done = try_model(small_run, *arguments, "--once", "a")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


# ---------------------------------------------------------------- a terminal


class Terminal:
    """A program in a terminal of its own: what it wrote so far, and a keyboard."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.text, (self._ours, theirs) = "", pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=folder,
            env={**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=lambda: (os.setsid(), _own(0)),
        )
        os.close(theirs)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def type_until(self, keys: str, pattern: str) -> None:
        """Type the keys, again where a slow machine was not yet listening, until the pattern."""
        for seconds in (10, 20, 60):
            self.type(keys)
            with contextlib.suppress(AssertionError):
                self.wait_for(pattern, seconds)
                return
        raise AssertionError(f"no {pattern!r} after {keys!r} in {self.text!r}")

    def wait_for(self, pattern: str, seconds: float = 180) -> str:
        """What was written from now on up to the pattern."""
        start, deadline = len(self.text), time.monotonic() + seconds
        while not (match := re.search(pattern, self.text[start:], re.S)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text!r}"
            if select.select([self._ours], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._ours, 65536).decode(errors="replace")
                except OSError:
                    pytest.fail(f"it ended before {pattern!r}: {self.text!r}")
        return match.group()


def _own(descriptor: int) -> None:
    """Make it the terminal that Ctrl-C is typed in."""
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(small_run) -> Iterator:
    started = []

    def start(*arguments: str) -> Terminal:
        started.append(Terminal(small_run, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def test_in_a_terminal_it_streams_and_ctrl_c_stops_an_answer(terminal):
    window = terminal("prose-qlora", "--max-new-tokens", "450")
    window.wait_for("Text to continue.*> ")
    window.type("The old door \n")
    # It has drawn something, and drawn it again.
    window.wait_for("base .*\x1b\\[1A\x1b\\[2K(\x1b\\[1m)?base  ")
    window.type("\x03")
    window.wait_for(r"base \(\d+ tokens, stopped\)")
    window.type("\x03")
    window.wait_for(r"tuned \(\d+ tokens, stopped\).*> ")
    # At the prompt it only asks again.
    window.type_until("\x03", "> ")
    window.type("\x04")
    assert window.process.wait(timeout=30) == 0
    assert "Traceback" not in window.text


# ---------------------------------------------------------------- the page

needs_gradio = pytest.mark.skipif(
    find_spec("gradio") is None, reason="gradio is not installed (requirements-web.txt)"
)


@pytest.mark.skipif(find_spec("gradio") is not None, reason="gradio is installed")
def test_without_gradio_the_page_says_what_to_install(small_run):
    done = try_model(small_run, "prose-qlora", "--web")
    assert done.returncode == 1
    assert "pip install -r requirements-web.txt" in done.stderr


@contextlib.contextmanager
def page(folder: Path, experiment: str) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*COMMAND, experiment, "--web", "--port", str(port)],
        cwd=folder,
        # A proxy that is not there: the page must not be looked for behind it.
        env={**os.environ, "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        read = []
        for line in process.stdout:
            read.append(line)
            if line.startswith("Open "):
                break
        else:
            pytest.fail("".join(read))
        yield f"http://127.0.0.1:{port}"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        process.stdout.close()


def asked(address: str, *values: str) -> list:
    """What the page shows at last, asked for as its own script does."""
    body = {"fn_index": 0, "session_hash": "test", "data": list(values)}
    request = urllib.request.Request(
        f"{address}/gradio_api/queue/join",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    opener.open(request, timeout=60).read()
    for line in opener.open(f"{address}/gradio_api/queue/data?session_hash=test", timeout=120):
        if line.startswith(b"data:"):
            message = json.loads(line[5:])
            if message["msg"] == "process_completed":
                assert message["success"], message
                return message["output"]["data"]
    raise AssertionError("no answer")


@needs_gradio
def test_the_page_answers_on_this_machine_alone(small_run, default_config):
    prompt = default_config["tasks"]["prose"]["evaluation"]["continuations"][0]
    with page(small_run, "prose-qlora") as address:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        html = opener.open(address, timeout=60).read().decode()
        loaded = re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=["']([^"']+)""", html)
        assert loaded and not [u for u in loaded if "//" in u and not u.startswith(address)]
        # Any other address of this machine is refused.
        with socket.socket() as other, pytest.raises(ConnectionRefusedError):
            other.connect(("127.0.0.2", int(address.rpartition(":")[2])))
        base, tuned, ends = asked(address, prompt, "")
        assert base == evaluated(small_run, "base/tiny-mistral/nf4")
        assert tuned == evaluated(small_run, "tuned/prose-qlora/seed-1")
        assert ends == "base: 4 tokens, cut, tuned: 4 tokens, cut"


@needs_gradio
def test_the_page_shows_labels_as_a_table(small_run):
    with page(small_run, "news-qlora") as address:
        (table,) = asked(address, "The team won the cup", "")
        assert table["headers"] == ["label", "base", "tuned"]
        names = [row[0] for row in table["data"]]
        assert names == ["World", "Sports", "Business", "Sci/Tech"]
        assert all(re.fullmatch(r"\d+\.\d%", row[1]) for row in table["data"])
