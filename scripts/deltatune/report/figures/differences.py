"""How the differences are spread over the examples."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import numbers
from deltatune.report.figures.style import (
    INK,
    LOSS,
    MUTED,
    PAPER,
    SAME,
    STEPS,
    STYLE,
    TUNED,
    WIDTH,
    empty,
)
from deltatune.report.figures.upstream import sns
from deltatune.report.labels import shorten
from deltatune.report.reading import TIE
from deltatune.report.words.seeds import aggregation


def plot(
    scores: pd.DataFrame,
    seeds: Sequence[int],
    higher_is_better: bool = True,
    title: str = "score",
    unit: str = "examples",
) -> Figure:
    """How the per-example differences are spread: gains on one side, losses on the other.

    No bin straddles zero, and examples without a difference have a bar of their own there.
    scores: columns id, base, tuned (one value for each example, the mean over the training seeds);
            rows without both are left out
    """
    differences = (scores["tuned"] - scores["base"]).astype(float)
    differences = differences[np.isfinite(differences)].to_numpy()
    if not len(differences):
        return empty("No example has both scores.")
    same = np.abs(differences) <= TIE
    moved = differences[~same]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 2.7), layout="constrained")
        axis = figure.subplots()
        draw = _draw_bins if _levels(moved) is None else _draw_levels
        width, (left, right) = draw(axis, moved, higher_is_better)
        if same.any():
            axis.bar(0, int(same.sum()), width=width, color=SAME, edgecolor=PAPER, linewidth=0.8)
        axis.axvline(0, color=MUTED, linewidth=0.9, zorder=0)
        axis.axvline(float(differences.mean()), color=INK, linewidth=1.2, linestyle=(0, (2, 2)))
        room = max(width, 0.03 * (right - left))
        axis.set_xlim(left - room, right + room)
        axis.set_ylim(top=axis.get_ylim()[1] * 1.08)
        axis.grid(axis="y")
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
        axis.yaxis.set_major_locator(MaxNLocator(4, steps=STEPS, integer=True))
        axis.xaxis.set_major_locator(MaxNLocator(7, steps=STEPS))
        axis.set_xlabel(f"{shorten(title, 20)}, tuned − base")
        axis.set_ylabel("")
        count = numbers.plural(len(differences), unit)
        axis.set_title(f"{count}; tuned: {aggregation(seeds)}", pad=22)
        _write_counts(axis, differences, higher_is_better)
    return figure


def _write_counts(axis, differences: np.ndarray, higher_is_better: bool) -> None:
    """How many lie on each side, and which side is better."""
    below, above = (int((sign * differences > TIE).sum()) for sign in (-1, 1))
    words = ("worse", "better") if higher_is_better else ("better", "worse")
    colors = {"worse": LOSS, "better": TUNED}
    texts = [
        (0.0, "left", f"← {below:,} {words[0]}", colors[words[0]]),
        (0.5, "center", f"{len(differences) - below - above:,} unchanged", MUTED),
        (1.0, "right", f"{above:,} {words[1]} →", colors[words[1]]),
    ]
    for place, side, text, color in texts:
        axis.text(
            place, 1.04, text, ha=side, va="bottom", color=color, fontsize=10,
            transform=axis.transAxes,
        )  # fmt: skip


def _draw_levels(
    axis, moved: np.ndarray, higher_is_better: bool
) -> tuple[float, tuple[float, float]]:
    """A bar for each of a few values (right or wrong, averaged over seeds).

    Returns the width of a bar at zero, and the ends of the axis.
    """
    levels = _levels(moved)
    gaps = np.diff(np.unique([*levels, 0.0]))
    width = 0.6 * (float(gaps.min()) if len(gaps) else 1.0)
    for value in levels:
        count = int(np.isclose(moved, value, atol=1e-6).sum())
        axis.bar(value, count, width=width, color=_side(value, higher_is_better))
    return width, (min([*levels, 0.0]), max([*levels, 0.0]))


def _draw_bins(
    axis, moved: np.ndarray, higher_is_better: bool
) -> tuple[float, tuple[float, float]]:
    """A histogram of many values; returns the same.

    Wide tails would leave the middle in one bin: the axis ends at the 99th percentile of the size,
    and the outermost bins take what lies beyond.
    """
    end = float(np.quantile(np.abs(moved), 0.99))
    per_side = int(np.clip(np.sqrt(len(moved)), 6, 16))
    step = end / per_side
    edges = np.arange(-per_side, per_side + 1) * step
    clipped = np.clip(moved, edges[0] + step / 2, edges[-1] - step / 2)
    clipped = np.where(np.abs(moved) > end, clipped, moved)
    for side in (-1, 1):
        part = clipped[np.sign(clipped) == side]
        if len(part):
            sns.histplot(
                x=part, bins=edges, ax=axis, color=_side(side, higher_is_better),
                alpha=1.0, edgecolor=PAPER, linewidth=0.8,
            )  # fmt: skip
    return step * 0.5, (min(clipped.min(), 0.0), max(clipped.max(), 0.0))


def few_levels(scores: pd.DataFrame) -> bool:
    """Do the differences take so few values that each has a bar of its own?"""
    differences = (scores["tuned"] - scores["base"]).astype(float)
    return _levels(differences[np.isfinite(differences)].to_numpy()) is not None


def _levels(differences: np.ndarray) -> np.ndarray | None:
    levels = np.unique(np.round(differences[np.abs(differences) > TIE], 6))
    return levels if len(levels) <= 8 else None


def _side(difference: float, higher_is_better: bool) -> str:
    return TUNED if (difference > 0) == higher_is_better else LOSS
