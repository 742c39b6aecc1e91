"""A run on the terminal: what is said of stages, of failures, and how long it will take."""

from __future__ import annotations

import io
import os

import pytest
from conftest import ROOT
from deltatune.progress import estimate
from deltatune.progress.capture import Capture
from deltatune.progress.display import LOG_LINES, Display
from deltatune.progress.run import Run, in_short
from deltatune.progress.stages import Stage, of_rules
from rich.console import Console

STAGES = [Stage("Data", ("fetch_dataset", "split_dataset")), Stage("Training", ("train_adapter",))]
PLANNED = {"fetch_dataset": 1, "split_dataset": 1, "train_adapter": 2, "all": 1, "total": 5}


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def shown():
    """(run, display, clock, a function that returns the lines so far)."""
    clock, out = Clock(), io.StringIO()
    run = Run(STAGES, clock)
    display = Display(run, Console(file=out, width=80))
    return run, display, clock, lambda: out.getvalue().splitlines()


def test_every_rule_that_does_something_is_in_a_stage():
    stages = of_rules(ROOT / "rules")
    titles = [stage.title for stage in stages]
    main = ["Data", "Base models", "Tokens", "Training", "Evaluation", "Comparison", "Report"]
    assert titles[: len(main)] == main
    scripts = {file.stem for file in (ROOT / "scripts").glob("*.py")}
    rules = {rule for stage in stages for rule in stage.rules}
    assert {"train_adapter", "render_report", "fit_label_baselines"} <= rules & scripts


def test_a_file_of_rules_that_is_not_known_is_a_stage_by_its_name(tmp_path):
    (tmp_path / "extra.smk").write_text("rule one_more:\n    shell: 'true'\n")
    (tmp_path / "common.smk").write_text("x = 1\n")
    assert of_rules(tmp_path) == [Stage("extra", ("one_more",))]


def test_a_line_where_a_stage_begins_and_ends(shown):
    run, display, clock, lines = shown
    run.plan(PLANNED)
    display.begin()
    for number, rule in enumerate(["fetch_dataset", "split_dataset"]):
        run.start(number, rule, "Reading", "Missing output files: a, b")
        display.update()
        clock.seconds += 5
        run.finish(number)
        display.update()
    run.start(2, "train_adapter", "Training news", "Params have changed since last: {...}")
    display.update()
    display.line("  train_adapter news: step 3/9\n")  # of no use in a file
    display.line("train_adapter news: a note\n")
    assert lines() == [
        "4 jobs in 2 stages",
        "Data: 2 jobs (no result yet)",
        "Data: done, 0:10 since the start, about 3 min left",
        "Training: 2 jobs (settings have changed)",
        "train_adapter news: a note",
    ]


def test_the_last_lines_of_a_failure(shown, tmp_path):
    run, display, clock, lines = shown
    log = tmp_path / "job.log"
    log.write_text("\n".join([*(f"line {i}" for i in range(50)), "no \x1b[2J memory"]))
    run.plan(PLANNED)
    run.start(7, "train_adapter", "Training news, seed 1", "")
    clock.seconds += 61
    display.failure(*run.fail(7, "train_adapter", log))
    display.end()
    assert lines()[0] == "Failed: Training news, seed 1"
    assert lines()[1 : LOG_LINES + 1][-1] == "  | no \ufffd[2J memory"
    text = " ".join(lines())
    assert f"The whole log: {log}" in text
    assert "0 of 4 jobs done in 1:01. Failed: Training news, seed 1." in text
    assert "give the same command again" in text


def test_what_the_job_itself_has_said_is_not_said_twice(shown, tmp_path):
    run, display, _, lines = shown
    log = tmp_path / "job.log"
    log.write_text("deltatune: stopped.\nrow 3 is broken\n")
    run.plan(PLANNED)
    for line in log.read_text().splitlines():
        display.line(line)
    display.failure(*run.fail(1, "train_adapter", log))
    assert lines().count("row 3 is broken") == 1 and not [x for x in lines() if x[:4] == "  | "]


def test_words_of_a_failure_are_no_status(shown):
    """Only a line of its own says that a job was interrupted, whatever a message quotes."""
    run, display, _, lines = shown
    run.plan(PLANNED)
    display.line("deltatune: Training was interrupted in the text of row 3: interrupted")
    display.failure(*run.fail(1, "train_adapter", None))
    display.end()
    assert any("Failed" in line for line in lines())


@pytest.mark.parametrize("printed", ["  pretrain_model tiny: interrupted", None])
def test_a_run_that_was_stopped_says_how_to_go_on(shown, printed):
    run, display, _, lines = shown
    run.plan(PLANNED)
    display.line(printed) if printed else display.interrupt()
    display.failure(*run.fail(1, "train_adapter", None))
    display.end()
    text = " ".join(lines())
    assert text.startswith("Stopped, 0 of 4 jobs done in 0:00. The same command goes on from here")
    assert "Failed" not in text


def test_nothing_is_said_at_the_end_where_there_was_no_run(shown):
    _, display, _, lines = shown
    display.line("Nothing to be done.")
    display.end()
    assert lines() == ["Nothing to be done."]


def test_a_table_on_a_terminal():
    clock, out = Clock(), io.StringIO()
    run = Run(STAGES, clock)
    display = Display(run, Console(file=out, width=90, force_terminal=True, color_system=None))
    run.plan(PLANNED)
    display.begin()
    run.start(1, "train_adapter", "Training news, seed 1", "")
    display.line("  train_adapter news: step 3/9")
    clock.seconds += 3
    run.finish(1)
    run.start(2, "train_adapter", "Training news, seed 2", "")
    display.end()
    assert "step 3/9" in out.getvalue() and "1/2" in out.getvalue() and "1/4" in out.getvalue()


def test_the_time_left():
    # Nothing ended: nothing is known.
    assert estimate.remaining_seconds({"a": 3}, [], {}, 1) is None
    # A rule with ended jobs needs their mean; two at once need half of it.
    known = {"a": [10.0, 20.0]}
    assert estimate.remaining_seconds({"a": 4}, [], known, 2) == pytest.approx(30)
    assert estimate.remaining_seconds({}, [("a", 5.0)], known, 1) == pytest.approx(10)
    assert estimate.remaining_seconds({}, [("a", 50.0)], known, 1) == 0
    # Another one what it usually needs, times how much slower this machine is.
    usual = estimate.SECONDS
    known = {"train_adapter": [2.0 * usual["train_adapter"]]}
    left = estimate.remaining_seconds({"score_text": 1}, [], known, 1)
    assert left == pytest.approx(2 * usual["score_text"])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(3, "10 s"), (44, "40 s"), (58, "1 min"), (200, "3 min"), (7200, "2.0 h")],
)
def test_words_for_the_time_left(seconds, words):
    assert estimate.in_words(seconds) == f"about {words} left"


def test_usual_seconds_are_those_of_rules():
    assert estimate.SECONDS.keys() <= {r for stage in of_rules(ROOT / "rules") for r in stage.rules}


def test_reasons_in_few_words():
    reason = "Params have changed since last execution: before: {'x': 1} now: {'x': 2}; Input"
    assert in_short(reason) == "settings have changed"
    assert in_short("Something else") == ""


def test_lines_of_children_are_received(capfd):
    received: list[str] = []
    with capfd.disabled():
        capture = Capture(received.append)
        capture.start()
        os.system("echo from a child >&2")
        capture.stop()
        os.close(capture.descriptor)
    assert received == ["from a child\n"]
