"""The project's folders, wherever snakemake runs."""

from itertools import pairwise
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The folder with the Snakefile."""
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "deltatune"
RESULTS = "results"
"""What a run makes, relative to the folder that snakemake runs in."""


def results_of(log: str | Path) -> Path:
    """The folder of all results, by the log of one of its jobs: where another workflow imports
    this one with a prefix, it lies below that."""
    parts = Path(log).parts
    for place, pair in enumerate(pairwise(parts)):
        if pair == (RESULTS, "logs"):
            return Path(*parts[: place + 1])
    return Path(RESULTS)
