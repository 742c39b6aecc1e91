"""Confusion matrices."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from deltatune.report import numbers
from deltatune.report.figures.style import INK, RULE, STYLE, TUNED, empty, label
from deltatune.report.figures.upstream import sns
from deltatune.report.words.seeds import aggregation

SHADE = 0.55
"""The darkest shade of a matrix: ink stays readable on it, in dark mode too."""


def titles(seeds: Sequence[int]) -> dict[str, str]:
    """System → the title of its matrix, which says how the training seeds were aggregated."""
    return {"base": "base", "tuned": f"tuned, {aggregation(seeds)}"}


def cells(counts: np.ndarray | Sequence) -> list[list[str]]:
    """The counts of a matrix as text, as figure and table show them.

    Means over seeds that are no whole numbers have one decimal, in all cells alike.
    """
    counts = np.asarray(counts, dtype=float)
    decimals = 0 if np.allclose(counts, np.round(counts)) else 1
    return [[numbers.format_number(value, decimals) for value in row] for row in counts]


def plot(
    confusion: Mapping,
    seeds: Sequence[int],
    systems: tuple[str, ...] = ("base", "tuned"),
) -> Figure:
    """Confusion matrices side by side: rows are true labels, columns are predicted ones.

    The shade is the share of the row, so that rare labels can be read; the numbers are counts.
    confusion: {"labels": K names, "base": K×K counts, "tuned": K×K mean counts over the seeds}
    seeds: training seeds of the tuned systems
    """
    names = [label(name, 16) for name in confusion["labels"]]
    count = len(names)
    if not count:
        return empty("There are no labels.")
    side = min(max(0.75 * count + 1.2, 2.8), 7.0)
    written = count <= 12
    with mpl.rc_context(STYLE):
        shade = LinearSegmentedColormap.from_list(
            "shade", [to_rgba(TUNED, 0), to_rgba(TUNED, SHADE)]
        )
        figure = Figure(figsize=(side * len(systems) + 0.4, side), layout="constrained")
        axes = figure.subplots(1, len(systems), squeeze=False)[0]
        for number, (axis, system) in enumerate(zip(axes, systems, strict=True)):
            counts = np.asarray(confusion[system], dtype=float).reshape(count, count)
            totals = counts.sum(axis=1, keepdims=True)
            shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
            sns.heatmap(
                shares, ax=axis, cmap=shade, vmin=0, vmax=1, cbar=False, square=True,
                linewidths=1, linecolor=RULE, xticklabels=names,
                yticklabels=names if number == 0 else False,
            )  # fmt: skip
            if written:
                texts = np.array(cells(counts), dtype=object)
                for (row, column), text in np.ndenumerate(texts):
                    axis.text(
                        column + 0.5, row + 0.5, text, ha="center", va="center",
                        fontsize=10, fontweight="bold" if row == column else "normal",
                        color=INK,
                    )  # fmt: skip
            axis.tick_params(length=0, labelcolor=INK)
            axis.tick_params(axis="x", rotation=0 if _fits(names, side) else 90)
            axis.tick_params(axis="y", rotation=0)
            axis.set_title(titles(seeds)[system])
            axis.set_xlabel("predicted")
            axis.set_ylabel("true" if number == 0 else "")
    return figure


def _fits(names: list[str], side: float) -> bool:
    """Do the names fit side by side under the matrix? (about 0.085 inches per character)"""
    cell = (side - 1.2) / len(names)
    return max(map(len, names)) * 0.09 < cell
