"""Training and validation loss over steps."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import numbers
from deltatune.report.figures.style import BASE, PAPER, STEPS, STYLE, TUNED, WIDTH, empty
from deltatune.report.figures.upstream import sns
from deltatune.report.words.seeds import aggregation

DECIMALS = 3
"""Of a loss, here and in the table below the figure."""


def plot(losses: pd.DataFrame) -> Figure:
    """Loss over steps of one experiment: each seed thin, their mean bold, the base at step 0.

    losses: columns seed, step, epoch, split ("train" | "validation"), loss (nats per token,
            weighted by tokens). Values that are not finite leave a gap, in the mean too.
    """
    seeds = sorted(losses["seed"].unique())
    losses = losses[np.isfinite(losses["loss"].astype(float))]
    if losses.empty:
        return empty("No loss was logged.")
    colors = {"train": BASE, "validation": TUNED}
    several = len(seeds) > 1
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
        axis = figure.subplots()
        ends: list[tuple[str, float, str]] = []
        for split, color in colors.items():
            rows = losses[losses["split"] == split].sort_values(["seed", "step"])
            if rows.empty:
                continue
            if several:
                sns.lineplot(
                    data=rows, x="step", y="loss", units="seed", estimator=None, ax=axis,
                    color=color, linewidth=0.8, alpha=0.45, legend=False,
                )  # fmt: skip
            mean = mean_over_seeds(rows, len(seeds))
            if mean.empty:
                continue
            few = len(mean) <= 15
            axis.plot(
                mean.index, mean.to_numpy(), color=color, linewidth=2.2,
                linestyle="-" if split == "validation" else (0, (4, 1.6)),
                marker="o" if few and split == "validation" else None, markersize=4,
            )  # fmt: skip
            ends.append((f"{split} {_written(mean.iloc[-1])}", mean.iloc[-1], color))
            if mean.index[0] == 0 and split == "validation":
                axis.axhline(mean.iloc[0], color=color, linewidth=0.9, linestyle=(0, (1, 2.5)))
                axis.plot([0], [mean.iloc[0]], "D", color=color, markersize=6,
                          markerfacecolor=PAPER, markeredgewidth=1.6)  # fmt: skip
                ends.append((f"base {_written(mean.iloc[0])}", mean.iloc[0], color))
        _label_ends(axis, ends)
        axis.grid(axis="y")
        axis.set_xlabel("step")
        axis.set_ylabel("")
        axis.set_title(f"loss, nats per token; {aggregation(seeds)}", pad=9)
        axis.xaxis.set_major_locator(MaxNLocator(6, steps=STEPS, integer=True))
        axis.yaxis.set_major_locator(MaxNLocator(5, steps=STEPS))
        axis.spines["left"].set_visible(False)
        axis.tick_params(axis="y", length=0)
    return figure


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
            text, (1.02, place), xycoords="axes fraction", color=color, va="center",
            fontsize=10, annotation_clip=False,
        )  # fmt: skip
    axis.set_ylim(low, high)
