"""What `snakemake -n` plans, job by job, without the seconds that each start of it takes.

Each dry run is a process of its own, forked from one that has imported snakemake already, in which
the command line's own entry point is called. What a digest holds of a module, which is read from
its text alone, is looked up for a text that the library here has too. `test_reruns.py` compares
some with the command line.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
import json
import multiprocessing
import os
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).with_name("hooks")))
from loading import when_loaded

LIBRARY = Path(__file__).resolve().parents[1] / "scripts/deltatune"

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
        values = (str(folder), command, environment, str(output), str(planned), _parsed_texts())
        process = _FORK_SERVER.Process(target=_run, args=values)
        process.start()
        process.join(600)
        if process.is_alive():
            process.kill()
            process.join()
        text = output.read_text() if output.exists() else ""
        jobs = json.loads(planned.read_text()) if planned.exists() else {}
    return Plan(process.exitcode, text, jobs)


@cache
def _parsed_texts() -> str:
    """The file with what `digest` reads from each module of the library, and from each script."""
    from deltatune.workflow import digest

    texts = [path.read_text(encoding="utf-8") for path in LIBRARY.parent.rglob("*.py")]
    known = {}
    for text in texts:
        imports, tree_hash = digest._parsed(text)
        known[_key(text)] = sorted(imports), tree_hash
    descriptor, path = tempfile.mkstemp(suffix=".json", prefix="parsed-")
    atexit.register(os.unlink, path)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(known, file)
    return path


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _look_up(parsed_texts: str) -> None:
    """Let the digest of the project look a text up, unless it reads them in another way."""
    known = json.loads(Path(parsed_texts).read_text(encoding="utf-8"))

    def change(digest) -> None:
        if Path(digest.__file__).read_bytes() == (LIBRARY / "workflow/digest.py").read_bytes():
            parse = digest._parsed

            def parsed(text: str) -> tuple[frozenset[str], str]:
                if pair := known.get(_key(text)):
                    return frozenset(pair[0]), pair[1]
                return parse(text)

            digest._parsed = parsed

    when_loaded("deltatune.workflow.digest", change)


def _run(
    folder: str,
    arguments: list[str],
    environment: dict[str, str],
    output: str,
    planned: str,
    parsed_texts: str,
) -> None:
    os.chdir(folder)
    os.environ.update({"HF_HUB_OFFLINE": "1", **environment})
    target = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(target, 1)
    os.dup2(target, 2)
    gc.disable()  # a quarter faster
    # The server was started with what forbade byte code, see conftest.py.
    sys.dont_write_bytecode = False
    _look_up(parsed_texts)
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
