"""The files of report/ that the page is made of: an edit of one of them writes it again."""

from __future__ import annotations

from pathlib import Path

STYLES = ("style.css", "page.css", "table.css", "browser.css", "figures.css")
TABLE_STYLES = ("style.css", "table.css")
"""Those of a table that is a page of its own."""
SCRIPTS = ("theme.js", "page.js", "browser.js", "table.js", "figures.js")
"""In the order in which they run, the first in the head."""
CAPTIONS = ("forest.rst", "losses.rst", "differences.rst", "confusion.rst")
"""Those that the page shares with `snakemake --report`."""


def page_files(folder: Path) -> list[str]:
    """The frame, first, what the templates share, those of the sections, style sheets, scripts
    and captions, as names below the folder.

    folder: report/ of the project
    """
    sections = sorted(f"sections/{file.name}" for file in folder.glob("sections/*.html.j2"))
    return ["page.html.j2", "macros.html.j2", *sections, *STYLES, *SCRIPTS, *CAPTIONS]
