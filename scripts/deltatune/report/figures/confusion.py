"""Confusion matrices."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure

from deltatune.report import numbers
from deltatune.report.figures import measure
from deltatune.report.figures.style import INK, MUTED, RULE, STYLE, TUNED, WIDTH, empty
from deltatune.report.figures.upstream import sns
from deltatune.report.labels import shorten
from deltatune.report.upstream import without_glyph_warnings
from deltatune.report.words.seeds import aggregation

SHADE = 0.48
"""The darkest shade of a matrix: ink stays readable on it, in dark mode too."""
TITLE, GAP = 0.26, 0.22
"""Inches: of a line of text beside the matrices, and between them."""
MOST = 12
"""Labels that are drawn at the most."""
NAMED = 60
"""Columns of a label in a sentence."""


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
    Of more than `MOST` labels those with the most errors are drawn, the others as one.
    confusion: {"labels": K names, "base": K×K counts, "tuned": K×K mean counts over the seeds}
    seeds: training seeds of the tuned systems
    """
    confusion = joined(confusion)
    if not confusion["labels"]:
        return empty("There are no labels.")
    size = 10.0 if len(confusion["labels"]) <= 6 else 8.0
    names = list(measure.fit(confusion["labels"], 84, size).values())
    widest = max(measure.width(name, size) for name in names) / 72
    left = TITLE + widest + 0.1
    cells_side = min(0.75 * len(names), WIDTH - left - 0.05)
    turned = widest + 0.06 > cells_side / len(names)
    below = TITLE + 0.12 + (widest if turned else 0.16)
    width = left + len(systems) * (cells_side + GAP)
    height = TITLE + cells_side + below
    # seaborn measures the labels.
    with mpl.rc_context(STYLE), without_glyph_warnings():
        figure = Figure(figsize=(width, height))
        for number, system in enumerate(systems):
            x = left + number * (cells_side + GAP)
            axis = figure.add_axes(
                (x / width, below / height, cells_side / width, cells_side / height)
            )
            _matrix(axis, np.asarray(confusion[system], dtype=float), cells_side, size)
            _name_cells(axis, names, size, turned, rows=number == 0)
            middle = (x + cells_side / 2) / width
            figure.text(middle, 0.06 / height, "predicted", color=MUTED, ha="center", va="bottom")
            figure.text(
                x / width, 1 - 0.05 / height, titles(seeds)[system], ha="left", va="top", color=INK
            )
        figure.text(
            0.0, (below + cells_side / 2) / height, "true", color=MUTED, rotation=90, va="center",
            ha="left",
        )  # fmt: skip
    return figure


def joined(confusion: Mapping) -> dict:
    """The matrices with at most `MOST` labels: those with the most errors of base and tuned, in
    their order, and one that holds the others, errors among them included."""
    names = [str(name) for name in confusion["labels"]]
    count = len(names)
    matrices = {
        system: np.asarray(confusion[system], dtype=float).reshape(count, count)
        for system in ("base", "tuned")
    }
    if count <= MOST:
        return {"labels": names, **matrices}
    wrong = sum(m.sum(axis=0) + m.sum(axis=1) - 2 * m.diagonal() for m in matrices.values())
    chosen = sorted(np.argsort(-wrong, kind="stable")[: MOST - 1])
    others = [place for place in range(count) if place not in set(chosen)]
    groups = [*([place] for place in chosen), others]
    return {
        "labels": [*(names[place] for place in chosen), f"{len(others)} others"],
        **{
            system: np.array(
                [[m[np.ix_(row, column)].sum() for column in groups] for row in groups]
            )
            for system, m in matrices.items()
        },
    }


def _matrix(axis, counts: np.ndarray, side: float, size: float) -> None:
    """The cells of one matrix, `side` inches wide."""
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    shade = LinearSegmentedColormap.from_list("shade", [to_rgba(TUNED, 0), to_rgba(TUNED, SHADE)])
    sns.heatmap(
        shares, ax=axis, cmap=shade, vmin=0, vmax=1, cbar=False, linewidths=1, linecolor=RULE,
        xticklabels=False, yticklabels=False,
    )  # fmt: skip
    texts = np.array(cells(counts), dtype=object)
    room = 72 * side / len(counts) - 2
    if max(measure.width(text, size, "bold") for text in texts.flat) > room:
        texts = np.array(cells(np.round(counts)), dtype=object)
    widest = max(measure.width(text, size, "bold") for text in texts.flat)
    for (row, column), text in np.ndenumerate(texts):
        axis.text(
            column + 0.5, row + 0.5, text, ha="center", va="center", color=INK,
            fontsize=size * min(1, room / widest),
            fontweight="bold" if row == column else "normal",
        )  # fmt: skip


def _name_cells(axis, names: Sequence[str], size: float, turned: bool, rows: bool) -> None:
    """The labels below the columns, turned where they are wider than these, and before the rows."""
    say = {"fontsize": size, "color": INK, "clip_on": False}
    count = len(names)
    for place, name in enumerate(names):
        if rows:
            axis.annotate(
                name, (0, place + 0.5), xytext=(-5, 0), textcoords="offset points", ha="right",
                va="center", annotation_clip=False, **say,
            )  # fmt: skip
        axis.annotate(
            name, (place + 0.5, count), xytext=(0, -5), textcoords="offset points",
            va="center" if turned else "top", ha="right" if turned else "center",
            rotation=90 if turned else 0, rotation_mode="anchor", annotation_clip=False, **say,
        )  # fmt: skip


def described(confusion: Mapping, system: str) -> str:
    """'280 texts, 184 of them on the diagonal; most often confused: World taken for Sports, 12.'"""
    counts = np.asarray(confusion[system], dtype=float)
    names = [str(name) for name in confusion["labels"]]
    of, on = (numbers.format_count(one) for one in (counts.sum(), np.trace(counts)))
    text = f"{of} texts, {on} of them on the diagonal"
    wrong = counts - np.diag(np.diag(counts))
    if not wrong.size or wrong.max() == 0:
        return f"{text}."
    row, column = np.unravel_index(np.argmax(wrong), wrong.shape)
    most = numbers.format_count_mean(float(wrong.max()))
    true, predicted = (shorten(names[place], NAMED) for place in (row, column))
    return f"{text}; most often confused: {true} taken for {predicted}, {most}."
