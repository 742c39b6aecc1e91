"""The project's folders, wherever snakemake runs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
"""The folder with the Snakefile."""
SCRIPTS = ROOT / "scripts"
LIBRARY = SCRIPTS / "deltatune"
RESULTS = "results"
"""What a run makes, relative to the folder that snakemake runs in."""
