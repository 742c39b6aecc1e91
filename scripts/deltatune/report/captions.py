"""Captions of figures and tables: those of `snakemake --report` and the page's are one text.

Snakemake renders report/NAME.rst with the params of the rule; here the page does it with the same.
"""

from __future__ import annotations

import re
from functools import cache
from types import SimpleNamespace

import jinja2

from deltatune.core.paths import ROOT
from deltatune.core.schema import Section

FOLDER = ROOT / "report"


def caption(name: str, settings: Section | None = None, **wildcards: str) -> list[str]:
    """The paragraphs of report/NAME.rst as plain text.

    settings: the params of the rule whose output it is of. wildcards: of that output.
    """
    snakemake = SimpleNamespace(
        params=SimpleNamespace(settings=settings.model_dump(mode="json") if settings else None),
        wildcards=SimpleNamespace(**wildcards),
    )
    return [plain(part) for part in _template(name).render(snakemake=snakemake).split("\n\n")]


def joined(name: str, settings: Section | None = None, **wildcards: str) -> str:
    """The same as one paragraph."""
    return " ".join(caption(name, settings, **wildcards))


def plain(text: str) -> str:
    """reStructuredText without its marks, in one line."""
    text = re.sub(r"``(.+?)``|\*\*(.+?)\*\*|\*(.+?)\*", _inside, text)
    return " ".join(text.split())


def _inside(match: re.Match) -> str:
    return next(filter(None, match.groups()))


@cache
def _template(name: str) -> jinja2.Template:
    # As Snakemake's own environment. What comes of it is plain text, which the page escapes.
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False
    )
    return environment.from_string((FOLDER / f"{name}.rst").read_text(encoding="utf-8"))
