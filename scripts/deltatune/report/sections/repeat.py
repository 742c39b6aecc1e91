"""The commands that make the run again, from the commits that its jobs recorded."""

from __future__ import annotations

from collections.abc import Iterable

from deltatune.report.data import Checkout, ReportData

NAME, TITLE = "repeat", "Repeat"
SETUP = (
    "python -m venv .venv",
    ". .venv/bin/activate",
    "python -m pip install -r requirements.txt -c constraints.txt",
)


def view(data: ReportData) -> dict | None:
    """Commands, one a line, and what a reader has to know of them; None without jobs."""
    if not data.checkouts:
        return None
    commits = list(dict.fromkeys(one.commit for one in data.checkouts if one.commit))
    checkout = [f"git checkout {commits[-1]}"] if commits else []
    return {
        "commands": [*checkout, *SETUP, "snakemake --cores all"],
        "remarks": list(remarks(data.checkouts, commits)),
    }


def remarks(checkouts: Iterable[Checkout], commits: list[str]) -> Iterable[str]:
    """Where the commands alone do not make the same."""
    checkouts = list(checkouts)
    if len(commits) > 1:
        yield (
            f"Jobs of this run are of {len(commits)} commits, see the provenance; the last is "
            "checked out here, and what an edit between them reaches comes out by it."
        )
    if any(one.modified for one in checkouts):
        yield (
            "Jobs ran with code that differed from its commit: what differed is in no commit, and "
            "the archive has it."
        )
    if any(one.commit is None for one in checkouts):
        yield "Jobs ran outside of a git checkout; the archive has their code."
