"""Figures as files; the same bytes for the same figure."""

import io
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from deltatune.report import upstream
from deltatune.report.figures.style import STYLE


def svg_bytes(figure: Figure) -> bytes:
    """The figure as Matplotlib writes it, without a date."""
    target = io.BytesIO()
    with mpl.rc_context(STYLE), upstream.without_glyph_warnings():
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None})
    return target.getvalue()


def save(figure: Figure, path: Path | str) -> None:
    """Writes the figure as a file that stands alone: its own colors, on white."""
    svg = svg_bytes(figure).decode()
    background = '<rect width="100%" height="100%" fill="#ffffff"/>'
    svg = re.sub(r"(<svg[^>]*>)", lambda match: match.group(1) + "\n " + background, svg, count=1)
    Path(path).write_text(svg, encoding="utf-8", newline="\n")
