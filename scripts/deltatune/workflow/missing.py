"""What Snakemake's own report lacks, which names the first missing file and stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

MOST = 5
"""Results that are listed."""


def is_report(arguments: Sequence[str]) -> bool:
    """Whether snakemake was called for its report: it has no other way to tell a Snakefile."""
    return any(argument.partition("=")[0] == "--report" for argument in arguments)


def notice(results: Iterable[str], place: Callable[[str], str] = str) -> str | None:
    """What to say before the report is made; None where all is there.

    place: path of a result -> where it lies, in a workflow that imports this one.
    """
    every = list(map(place, results))
    absent = [path for path in every if not Path(path).exists()]
    if not absent:
        return None
    more = [f"  and {len(absent) - MOST} more"] if len(absent) > MOST else []
    return "\n".join(
        [
            f"Snakemake's report is one of a finished run, and {len(absent)} of {len(every)} "
            "results are missing:",
            *(f"  {path}" for path in absent[:MOST]),
            *more,
            "`snakemake --cores all` makes them; `snakemake report_partial` makes a page of what "
            "is there.",
        ]
    )
