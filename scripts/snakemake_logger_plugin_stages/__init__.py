"""`snakemake --logger stages`: a line for each stage in place of a paragraph for each job.

Snakemake finds the plugin by this name where scripts/ is on PYTHONPATH, as `make demo` and
`make run` put it. A dry run keeps Snakemake's own text, and so does the log file of a run.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

_INTERRUPTED = "Terminating processes on user request"
_SAID_OTHERWISE = (
    "returned non-zero exit status",
    "Exiting because a job execution failed",
    "At least one job did not complete",
)
"""Of a job that failed, whose own words and log are shown."""


class LogHandler(LogHandlerBase):
    writes_to_file = False
    has_filter = True
    has_formatter = False
    needs_rulegraph = False

    @property
    def writes_to_stream(self) -> bool:
        # Of a dry run, Snakemake's own text says what would run and why.
        return not self.common_settings.dryrun

    def __post_init__(self) -> None:
        if not self.writes_to_stream:
            return
        # Snakemake imports every plugin that it finds, wanted or not.
        from deltatune.core.paths import ROOT
        from deltatune.progress.capture import Capture
        from deltatune.progress.display import Display
        from deltatune.progress.run import Run
        from deltatune.progress.stages import of_rules
        from rich.console import Console

        self._run = Run(of_rules(ROOT / "rules"))
        self._capture = Capture(lambda line: self._display.line(line))
        self._stream = os.fdopen(self._capture.descriptor, "w", encoding="utf-8", errors="replace")
        console = Console(file=self._stream, highlight=False)
        self._display = Display(self._run, console)
        self._capture.start()

    def emit(self, record: logging.LogRecord) -> None:
        if not self.writes_to_stream:
            return
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        event, run = getattr(record, "event", None), self._run
        if event == LogEvent.RUN_INFO:
            if run.begun is None:
                run.plan(record.stats)
                self._display.begin()
        elif event == LogEvent.JOB_INFO:
            run.start(record.jobid, record.rule_name, record.rule_msg, record.reason)
            self._display.update()
        elif event == LogEvent.JOB_FINISHED:
            run.finish(record.job_id)
            self._display.update()
        elif event == LogEvent.JOB_ERROR:
            log = Path(record.log[0]) if record.log else None
            self._display.failure(*run.fail(record.jobid, record.rule_name, log))
        elif event is None or event == LogEvent.ERROR:
            self._say(record)

    def _say(self, record: logging.LogRecord) -> None:
        """Warnings and errors; of the rest what is to be known."""
        text = record.getMessage()
        if _INTERRUPTED in text:
            self._display.interrupt()
            return
        is_wanted = record.levelno >= logging.WARNING or text.startswith("Nothing to be done")
        if is_wanted and not any(known in text for known in _SAID_OTHERWISE):
            self._display.line(self.format(record))

    def close(self) -> None:
        if self.writes_to_stream:
            self._capture.stop()
            self._display.end()
            self._stream.close()
        super().close()
