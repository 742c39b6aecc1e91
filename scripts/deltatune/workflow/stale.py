"""Results that Snakemake takes for finished although they were made with other settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from deltatune.core import made_with, manifest
from deltatune.workflow.jobs import Job
from deltatune.workflow.upstream import is_recorded

MOST = 10
"""Results that are listed."""


def notice(jobs: Iterable[Job], place: Callable[[str], str] = str) -> str | None:
    """What to say at the start of a run; None where all is as it should be.

    place: path of a result -> where it lies, in a workflow that imports this one. Of what Snakemake
    has a record of, it finds out itself that a setting was changed, and runs it again.
    """
    others = list(_unrecorded(jobs, place))
    if not others:
        return None
    lines = [f"  {path}: {'; '.join(differing)}" for _, path, differing in others[:MOST]]
    if len(others) > MOST:
        lines.append(f"  and {len(others) - MOST} more")
        again = list(dict.fromkeys(job.rule for job, _, _ in others))
    else:
        again = [path for _, path, _ in others]
    return "\n".join(
        [
            "these results were made with other settings, and Snakemake has no record of how they "
            "were made (the folder .snakemake is gone, or they come from elsewhere), so it takes "
            "them for finished:",
            *lines,
            "This makes them again, with all that depends on them:",
            f"  snakemake --cores all --forcerun {' '.join(again)}",
        ]
    )


def _unrecorded(
    jobs: Iterable[Job], place: Callable[[str], str]
) -> Iterator[tuple[Job, str, list[str]]]:
    """(job, its manifest, what is different) of the jobs whose manifest says something else than
    the settings, and of which Snakemake has no record."""
    for job in jobs:
        path = place(job.manifest)
        if not Path(path).is_file() or is_recorded(path):
            continue
        try:
            made = manifest.read(path).get("settings")
        except (ValueError, AttributeError):
            continue  # damaged: refused by the job that reads it
        if differing := made_with.differences(made, job.settings):
            yield job, path, differing
