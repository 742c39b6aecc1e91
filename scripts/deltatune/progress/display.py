"""A run on the terminal: a line for each stage, what it is doing, and the time left."""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from deltatune.core.terminal import INTERRUPTED
from deltatune.core.text import printable
from deltatune.progress.estimate import clock, in_words
from deltatune.progress.run import Run
from deltatune.progress.stages import Stage

BAR = 24
"""Characters of a bar."""
LOG_LINES = 12
"""Last lines of a failed job's log that are shown."""
_DETAIL = re.compile(r"^  (\S[^:]*): (.*)$")
"""What a running job prints of its progress, see `core.terminal`."""


class Display:
    """What is shown of a run; on what is no terminal a line where a stage begins and ends."""

    def __init__(self, run: Run, console: Console) -> None:
        self._run = run
        self._console = console
        self._details: dict[str, str] = {}
        self._begun: set[str] = set()
        self._ended: set[str] = set()
        self._live: Live | None = None
        self._interrupted = False
        self._printed: deque[str] = deque(maxlen=200)

    def begin(self) -> None:
        """The jobs are known."""
        run = self._run
        what = f"{run.total} job{'s' * (run.total != 1)}"
        stages = sum(bool(run.of_stage(stage)[1]) for stage in run.stages)
        self._print(f"{what} in {stages} stage{'s' * (stages != 1)}")
        if self._console.is_terminal:
            self._live = Live(
                get_renderable=self._table,
                console=self._console,
                refresh_per_second=2,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def update(self) -> None:
        """Some job has begun or ended."""
        if self._live or not self._run.total:
            return
        for stage in self._run.stages:
            done, total = self._run.of_stage(stage)
            if self._run.in_stage(stage) and stage.title not in self._begun:
                self._begun.add(stage.title)
                why = self._why(stage)
                self._print(f"{stage.title}: {total} job{'s' * (total != 1)}{why and f' ({why})'}")
            if total and done == total and stage.title not in self._ended:
                self._ended.add(stage.title)
                left = self._left()
                end = f"{stage.title}: done, {clock(self._run.elapsed)} since the start"
                self._print(f"{end}{left and f', {left}'}")

    def line(self, text: str) -> None:
        """What a job or Snakemake printed; the progress of a job goes beside its stage."""
        text = printable(text.rstrip("\r\n"))
        # Ctrl-C reaches jobs too, which may end before Snakemake has heard of it.
        detail = _DETAIL.match(text)
        self._interrupted |= detail is not None and detail[2] == INTERRUPTED
        if detail:
            self._details[detail[1].split(" ", 1)[0]] = detail[2]
        elif text.strip():
            self._print(text)

    def interrupt(self) -> None:
        """Snakemake was asked to stop."""
        self._interrupted = True

    def failure(self, message: str, log: Path | None) -> None:
        if self._interrupted:
            return
        self._print(f"Failed: {message}")
        if log and log.is_file():
            lines = map(printable, log.read_text("utf-8", errors="replace").splitlines())
            # What the job itself said stands above.
            new = [line for line in lines if line.strip() and line not in self._printed]
            for line in new[-LOG_LINES:]:
                self._print(f"  | {line[:200]}")
            self._print(f"  The whole log: {log}")

    def end(self) -> None:
        """The last lines: what was done, what was not, and what to do."""
        if self._live:
            self._live.stop()
            self._live = None
        run = self._run
        if run.begun is None:
            return
        done = f"{run.done} of {run.total} jobs done in {clock(run.elapsed)}"
        if self._interrupted or (run.done < run.total and not run.failed):
            self._print(
                f"Stopped, {done}. The same command goes on from here: what is done is kept, and "
                "a training resumes from its last checkpoint."
            )
        elif run.failed:
            # Where others ran beside it, this is what stays on the screen.
            listed = ", ".join(message for message, _ in run.failed[:3])
            more = f" and {len(run.failed) - 3} more" * (len(run.failed) > 3)
            logs = [str(log) for _, log in run.failed if log]
            where = f" and in {logs[-1]}" if logs else ""
            self._print(f"{done}. Failed: {listed}{more}.")
            self._print(
                f"The reason stands above{where}. Mend it and give the same command again: what is "
                "done is kept."
            )
        else:
            self._print(f"{done}.")

    # ------------------------------------------------------------ drawing

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1), expand=True)
        for ratio in (None, None, None, None):
            table.add_column(no_wrap=True, ratio=ratio)
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for stage in self._run.stages:
            done, total = self._run.of_stage(stage)
            if total:
                seconds = clock(self._run.seconds_of(stage)) if self._has_begun(stage) else ""
                self._row(table, stage.title, done, total, seconds, self._doing(stage))
        run = self._run
        self._row(table, "All", run.done, run.total, clock(run.elapsed), self._left(), "bold")
        return table

    def _row(
        self,
        table: Table,
        title: str,
        done: int,
        total: int,
        seconds: str,
        about: str,
        style: str = "",
    ) -> None:
        table.add_row(
            Text(title, style),
            ProgressBar(total=total, completed=done, width=BAR),
            Text(f"{done}/{total}".rjust(7), style),
            Text(seconds.rjust(7), style),
            Text(about, style or "dim"),
        )

    def _doing(self, stage: Stage) -> str:
        jobs = self._run.in_stage(stage)
        if not jobs:
            return self._why(stage) if not self._has_begun(stage) else ""
        more = f" and {len(jobs) - 1} more" * (len(jobs) > 1)
        detail = self._details.get(jobs[0].rule, "")
        return f"{jobs[0].message}{more}{detail and f': {detail}'}"

    def _has_begun(self, stage: Stage) -> bool:
        done, _ = self._run.of_stage(stage)
        return bool(done or self._run.in_stage(stage))

    def _why(self, stage: Stage) -> str:
        return ", ".join(sorted({w for rule in stage.rules for w in self._run.reasons[rule]}))

    def _left(self) -> str:
        left = self._run.remaining()
        return in_words(left) if left and self._run.done < self._run.total else ""

    def _print(self, text: str) -> None:
        self._printed.append(text)
        self._console.print(Text(text), soft_wrap=True)
