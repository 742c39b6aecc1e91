"""Training and validation loss over steps."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import numbers
from deltatune.report.figures.style import (
    BASE,
    PAPER,
    STEPS,
    STYLE,
    TRAIN,
    TUNED,
    WIDTH,
    empty,
)
from deltatune.report.figures.upstream import sns
from deltatune.report.words.seeds import aggregation

DECIMALS = 3
"""Of a loss, here and in the table below the figure."""
LINES = {"train": (TRAIN, (0, (4, 1.6))), "validation": (TUNED, "-")}
"""Split → its color and dashes."""


@dataclass(frozen=True)
class Validation:
    """Two points of the curve of validation, the mean over seeds."""

    lowest_step: int
    lowest: float
    kept_step: int
    kept: float
    """Of the last step: its adapter is the one that is kept and evaluated."""


def validation(losses: pd.DataFrame) -> Validation | None:
    """Where validation is lowest, and where training ended. None without a validation after the
    base, or where not all seeds have the last one."""
    rows = losses[losses["split"] == "validation"]
    mean = mean_over_seeds(rows, losses["seed"].nunique())
    mean = mean[mean.index > 0]
    if mean.empty or mean.index[-1] != rows["step"].max():
        return None
    lowest = mean.idxmin()
    return Validation(int(lowest), float(mean[lowest]), int(mean.index[-1]), float(mean.iloc[-1]))


def plot(losses: pd.DataFrame) -> Figure:
    """Loss over steps of one experiment: each seed thin, their mean bold, the base at step 0 and
    as a dotted line, the lowest validation and the kept step marked.

    losses: columns seed, step, epoch, split ("train" | "validation"), loss (nats per token,
            weighted by tokens). Values that are not finite leave a gap, in the mean too.
    """
    seeds = sorted(losses["seed"].unique())
    points = validation(losses)
    losses = losses[np.isfinite(losses["loss"].astype(float))]
    if losses.empty:
        return empty("No loss was logged.")
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
        axis = figure.subplots()
        ends: list[tuple[str, float, str]] = []
        for split in LINES:
            rows = losses[losses["split"] == split].sort_values(["seed", "step"])
            if len(rows):
                ends += _curve(axis, split, rows, len(seeds))
        _points(axis, points)
        _label_ends(axis, ends)
        axis.grid(axis="y")
        axis.set_xlabel("step" if points is None else "step (▽ lowest validation, □ kept)")
        axis.set_ylabel("")
        axis.set_title(f"loss, nats per token; {aggregation(seeds)}", pad=9)
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
    return figure


def _curve(axis, split: str, rows: pd.DataFrame, seeds: int) -> list[tuple[str, float, str]]:
    """Draws one split and returns what to write at its end, and at the base."""
    color, dashes = LINES[split]
    if seeds > 1:
        sns.lineplot(
            data=rows, x="step", y="loss", units="seed", estimator=None, ax=axis,
            color=color, linewidth=0.8, alpha=0.75, linestyle=dashes, legend=False,
        )  # fmt: skip
    mean = mean_over_seeds(rows, seeds)
    if mean.empty:
        return []
    axis.plot(mean.index, mean.to_numpy(), color=color, linewidth=2.2, linestyle=dashes)
    ends = [(f"{split} {_written(mean.iloc[-1])}", mean.iloc[-1], color)]
    if mean.index[0] == 0 and split == "validation":
        base = mean.iloc[0]
        axis.axhline(base, color=BASE, linewidth=1.1, linestyle=(0, (1, 2)), zorder=1)
        _point(axis, 0, base, "D", BASE, 6)
        ends.append((f"base {_written(base)}", base, BASE))
    return ends


def _points(axis, points: Validation | None) -> None:
    if points is None:
        return
    _point(axis, points.kept_step, points.kept, "s", TUNED, 9)
    _point(axis, points.lowest_step, points.lowest, "v", TUNED, 5.5)


def _point(axis, step: float, loss: float, marker: str, color: str, size: float) -> None:
    axis.plot([step], [loss], marker, color=color, markersize=size, zorder=4, clip_on=False,
              markerfacecolor=PAPER, markeredgewidth=1.5)  # fmt: skip


def mean_over_seeds(rows: pd.DataFrame, seeds: int) -> pd.Series:
    """step → mean loss, at the steps where every one of the seeds has a finite loss."""
    groups = rows[np.isfinite(rows["loss"].astype(float))].groupby("step")
    return groups["loss"].mean()[groups["seed"].nunique() == seeds]


def _written(loss: float) -> str:
    return numbers.format_number(loss, DECIMALS)


def _label_ends(axis, ends: list[tuple[str, float, str]], gap: float = 0.085) -> None:
    """Names the curves at the right edge, moved apart where they would lie on each other.

    ends: (text, value, color); gap: the least distance, as a share of the axis.
    """
    low, high = axis.get_ylim()
    places: list[float] = []
    for text, value, color in sorted(ends, key=lambda end: end[1]):
        place = (value - low) / ((high - low) or 1)
        if places:
            place = max(place, places[-1] + gap)
        places.append(place)
        axis.annotate(
            text, (1.03, place), xycoords="axes fraction", color=color, va="center",
            fontsize=10, annotation_clip=False,
        )  # fmt: skip
    axis.set_ylim(low, high)
