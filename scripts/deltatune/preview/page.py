"""The same as a page that needs nothing but itself: no script, no network, no font.

Every text in it passes `visible` and Jinja's autoescape, and its content security policy lets no
script run at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import jinja2

from deltatune.core.version import __version__
from deltatune.preview.tasks import TaskView
from deltatune.preview.words import piece_title, row_title, token_text, visible

KEEP = 900
"""Tokens of a run that the page shows."""


def render(views: Iterable[TaskView], template: Path) -> str:
    """template: preview.html.j2; style.css lies beside it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": visible,
        "piece_title": piece_title,
        "token_text": token_text,
    }
    environment.globals |= {"version": __version__, "row_title": row_title}
    return environment.get_template(template.name).render(views=list(views)) + "\n"
