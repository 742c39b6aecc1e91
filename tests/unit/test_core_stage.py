"""Each test runs a small script in a process of its own, as Snakemake does."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
HEAD = """
import sys
sys.path.insert(0, {scripts!r})
from types import SimpleNamespace
snakemake = SimpleNamespace(
    rule="make_it", wildcards=["news", "train"], log=[{log!r}], input=[], output=[], threads=1,
    resources=None,
)
from deltatune.core import stage
from deltatune.core import terminal as terminal_module
from deltatune.core.errors import UserError
"""


@pytest.fixture
def script(tmp_path):
    """Run a script's text: (exit status, what the terminal shows, what the log holds)."""
    log = tmp_path / "logs" / "deep" / "make_it.log"

    def run(body, read=True):
        head = HEAD.format(scripts=str(SCRIPTS), log=str(log))
        done = subprocess.run(
            [sys.executable, "-c", head + textwrap.dedent(body)],
            capture_output=True,
            text=True,
            timeout=60,
        )
        logged = log.read_text(encoding="utf-8") if read else ""
        return done.returncode, done.stdout + done.stderr, logged

    return run


def test_output_of_every_kind_goes_to_the_log_and_comes_back_afterwards(script):
    status, shown, log = script("""
        import ctypes, os, subprocess, warnings
        os.environ.pop("OMP_WAIT_POLICY", None)  # the tests have it set
        print("before")
        with stage.stage(snakemake) as terminal:
            print("from print")
            print("from stderr", file=sys.stderr)
            os.write(1, b"from os.write\\n")
            c = ctypes.CDLL(None)
            c.puts(b"from C")
            c.fflush(None)
            subprocess.run(["echo", "from a child"])
            warnings.warn("from a warning")
            print("threads wait", os.environ["OMP_WAIT_POLICY"])
        print("after")
    """)
    assert status == 0
    assert shown == "before\nafter\n"
    for origin in ("print", "stderr", "os.write", "C", "a child", "a warning"):
        assert f"from {origin}" in log
    assert "threads wait PASSIVE" in log


def test_a_user_error_is_its_message_and_exit_status_1(script):
    status, shown, log = script("""
        with stage.stage(snakemake):
            print("half done")
            raise UserError("tasks.news.labels: no record is labeled 'Wörld'.")
        print("not reached")
    """)
    assert status == 1
    assert "deltatune: make_it stopped.\ntasks.news.labels: no record is labeled 'Wörld'." in shown
    assert "Traceback" not in shown + log
    assert "not reached" not in shown + log
    assert "half done" in log
    assert "tasks.news.labels" in log


def test_an_unexpected_error_leaves_its_traceback_in_the_log_alone(script):
    status, shown, log = script("""
        def deep():
            raise KeyError("x" * 1000)
        with stage.stage(snakemake):
            deep()
    """)
    assert status == 1
    assert "Traceback" in log and "in deep" in log and "KeyError" in log
    assert "Traceback" not in shown
    assert "make_it news, train failed unexpectedly (KeyError: 'xxx" in shown
    assert "make_it.log" in shown
    assert len(shown) < 700


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        ("OSError(28, 'No space left on device', 'results/x')", "the disk is full"),
        ("RuntimeError('I/O error: No space left on device (os error 28)')", "the disk is full"),
        ("OSError(30, 'Read-only file system')", "the folder can only be read"),
        ("OSError(122, 'Disk quota exceeded')", "the disk quota is used up"),
    ],
)
def test_a_disk_that_cannot_be_written_to_is_said_with_what_to_do(script, raised, expected):
    status, shown, log = script(f"""
        with stage.stage(snakemake):
            try:
                raise {raised}
            except Exception as error:
                raise ValueError("while saving") from error
    """)
    assert status == 1
    assert expected in shown and "run again" in shown
    assert "Traceback" not in shown and "unexpectedly" not in shown
    assert "Traceback" in log


def test_a_log_that_cannot_be_written_is_said(script, tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full here")
    status, shown, _ = script(
        """
        snakemake.log = ["/dev/full"]
        with stage.stage(snakemake) as terminal:
            terminal.say("half done")
            print("to the log", flush=True)
    """,
        read=False,
    )
    assert status == 1
    assert "half done" in shown
    assert "the disk is full" in shown
    assert "Traceback" not in shown


def test_an_interrupt_ends_it_in_one_line(script):
    status, shown, _ = script("""
        with stage.stage(snakemake):
            raise KeyboardInterrupt
    """)
    assert status == 130
    assert shown.endswith(": interrupted\n") and "Traceback" not in shown


def test_a_job_that_was_stopped_says_how_it_goes_on_and_its_status(script):
    status, shown, log = script("""
        from deltatune.core.errors import Stopped
        with stage.stage(snakemake):
            raise Stopped("The next run goes on at step 3.")
    """)
    assert status == 1 and "Traceback" not in shown + log
    assert "goes on at step 3." in shown
    assert shown.splitlines()[-1] == "  make_it news, train: interrupted"


def test_progress_is_throttled_on_the_terminal_and_whole_in_the_log(script):
    status, shown, log = script("""
        with stage.stage(snakemake) as terminal:
            clock = [100.0]
            terminal_module.time = SimpleNamespace(monotonic=lambda: clock[0])
            for second in range(25):
                terminal.progress(f"step {second}")
                clock[0] += 1
            terminal.say("done")
    """)
    assert status == 0
    assert [line for line in log.splitlines() if "step" in line] == [f"step {i}" for i in range(25)]
    lines = shown.splitlines()
    assert lines == [f"  make_it news, train: step {i}" for i in (0, 10, 20)] + ["done"]
    assert "done" in log


def test_a_closed_terminal_does_not_stop_the_work(tmp_path):
    """Someone pipes the run into `head`, or closes the window over ssh."""
    log = tmp_path / "make_it.log"
    head = HEAD.format(scripts=str(SCRIPTS), log=str(log))
    body = """
import os
with stage.stage(snakemake) as terminal:
    terminal.progress("one")
    terminal.say("two")
    print("three")
os._exit(0)
"""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", head + body], stderr=writing, timeout=60)
    os.close(writing)
    assert done.returncode == 0
    assert log.read_text().split() == ["one", "two", "three"]


def test_it_imports_nothing_heavy():
    """Every script pays for it, before its log is open."""
    code = (
        f"import sys, json; sys.path.insert(0, {str(SCRIPTS)!r}); import deltatune.core.stage;"
        "print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "pandas", "numpy", "pydantic"} & set(json.loads(done.stdout))


def test_what_steers_a_terminal_or_cannot_be_written_does_neither(script):
    status, shown, log = script("""
        with stage.stage(snakemake) as terminal:
            terminal.say("red \\x1b[31m half \\ud800 back \\u202e")
            print("half \\ud800")
            raise UserError("row 7: \\x1b]0;title\\x07 and \\udcff")
    """)
    assert status == 1
    assert "red �[31m half � back �" in shown and "row 7: �]0;title� and �" in shown
    assert "\x1b" not in shown + log
    assert "half \\ud800" in log and "Traceback" not in shown + log


def test_a_locale_without_the_letters_of_the_data_stops_nothing(script, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    status, _, log = script("""
        with stage.stage(snakemake) as terminal:
            terminal.progress("漢字")
    """)
    assert status == 0
    assert "\\u6f22\\u5b57" in log


@pytest.mark.parametrize("compiles", [True, False])
def test_the_compiler_is_left_out_but_of_a_job_that_compiles(script, compiles):
    """Otherwise training would say that blocks are compiled, and run them as they are written."""
    status, shown, _ = script(f"""
        import os
        os.environ.pop("TORCHDYNAMO_DISABLE", None)
        with stage.stage(snakemake, compiles={compiles}):
            pass
        print("TORCHDYNAMO_DISABLE" in os.environ)
    """)
    assert status == 0 and shown.strip() == str(not compiles)
