"""What all figures share: colors, fonts, sizes.

Base is gray, tuned and validation are blue, training is green; a gain is blue, a loss vermilion
(Okabe and Ito's palette, darker where it is read as text; distinct under every kind of color
vision), and shape, dashes or place carry the same meaning.
"""

import matplotlib as mpl
from matplotlib.figure import Figure

from deltatune.report.text import clean

INK = "#22262b"
MUTED = "#5c636b"
RULE = "#d5d8dc"
SAME = "#878e96"
BASE = "#6b7178"
TUNED = "#0072b2"
LOSS = "#b3470a"
TRAIN = "#00735c"
PAPER = "#fefefe"
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "deltatune",
    # A label such as "$5 a day$" is text, never mathematics.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10.0,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.unicode_minus": True,
    "lines.solid_capstyle": "round",
}
WIDTH = 4.8
"""Inches. About a phone's width at a readable size, so that figures need no sideways scrolling."""
STEPS = [1, 2, 2.5, 5, 10]
"""Round steps between ticks, in any power of ten."""


def empty(message: str) -> Figure:
    """A figure with the reason why it is empty."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.8))
        figure.text(0.5, 0.5, clean(message), ha="center", va="center", color=MUTED)
    return figure
