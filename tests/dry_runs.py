"""What `snakemake -n` plans, job by job, without the seconds that each start of it takes.

Each dry run is a process of its own, forked from one that has imported snakemake already, in which
the command line's own entry point is called. `test_reruns.py` compares some with the command line.
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

_FORK_SERVER = multiprocessing.get_context("forkserver")
_FORK_SERVER.set_forkserver_preload(
    [
        *("snakemake.cli", "snakemake.persistence", "snakemake.report.html_reporter"),
        *("snakemake.linting", "snakemake.storage", "snakemake.script", "smart_open", "nbformat"),
        *("pandas", "pydantic", "docutils.core", "docutils.parsers.rst", "jinja2", "requests"),
        *("pygments.formatters", "packaging.version", "PIL.Image", "difflib", "dpath"),
    ]
)


@dataclass
class Plan:
    """jobs: `rule wildcards` -> the files that it makes; text: what was printed."""

    status: int
    text: str
    jobs: dict[str, list[str]] = field(default_factory=dict)


def dry_run(folder: Path, *arguments: str, dry: bool = True, **environment: str) -> Plan:
    """What snakemake would run in a folder; with dry=False, what it runs."""
    with tempfile.TemporaryDirectory() as scratch:
        output, planned = Path(scratch, "output"), Path(scratch, "jobs")
        command = [*(["--dry-run"] if dry else []), "--cores", "1", *arguments]
        values = (str(folder), command, environment, str(output), str(planned))
        process = _FORK_SERVER.Process(target=_run, args=values)
        process.start()
        process.join(600)
        if process.is_alive():
            process.kill()
            process.join()
        text = output.read_text() if output.exists() else ""
        jobs = json.loads(planned.read_text()) if planned.exists() else {}
    return Plan(process.exitcode, text, jobs)


def _run(
    folder: str, arguments: list[str], environment: dict[str, str], output: str, planned: str
) -> None:
    os.chdir(folder)
    os.environ.update({"HF_HUB_OFFLINE": "1", **environment})
    target = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(target, 1)
    os.dup2(target, 2)
    gc.disable()  # a quarter faster
    # The server was started with what forbade byte code, see conftest.py.
    sys.dont_write_bytecode = False
    from snakemake import cli
    from snakemake.logging import logger

    jobs: dict[str, list[str]] = {}

    def collect(record):
        if getattr(record, "rule_name", None) and hasattr(record, "wildcards"):
            name = " ".join([record.rule_name, *record.wildcards.values()])
            if record.rule_name != "all":
                jobs[name] = list(record.output)
        return True

    logger.addFilter(collect)
    try:
        cli.main(arguments)
    finally:
        Path(planned).write_text(json.dumps(jobs))
