"""How long answers are: those of the reference, of base and of tuned."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import numbers
from deltatune.report.figures.style import BASE, INK, PAPER, STEPS, STYLE, TUNED, WIDTH, empty
from deltatune.report.figures.upstream import sns
from deltatune.report.words.seeds import aggregation

COLORS = {"reference": INK, "base": BASE, "tuned": TUNED}
BINS = 30
"""The most bins of a row."""
END = 0.99
"""The axis ends where this share of the answers of each row does: a few very long ones would leave
all others in one bin. The last bin takes what lies beyond."""


def by_system(words: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """reference (where there is one), base and tuned → its columns: of tuned one for each seed.

    words: columns reference, base and "seed N", a row for each example.
    """
    reference = {"reference": words[["reference"]]} if words["reference"].any() else {}
    tuned = words.drop(columns=["reference", "base"])
    return {**reference, "base": words[["base"]], "tuned": tuned}


def medians(words: pd.DataFrame) -> dict[str, float]:
    """System → its median, of tuned the mean over seeds of each one's."""
    return {name: float(part.median().mean()) for name, part in by_system(words).items()}


def edges(words: pd.DataFrame) -> np.ndarray:
    """Edges of the bins, halfway between two lengths; the first bin begins at no word."""
    ends = [np.quantile(part.to_numpy(), END) for part in by_system(words).values()]
    lengths = int(max(ends)) + 1
    width = next(
        step * power
        for power in 10 ** np.arange(9)
        for step in (1, 2, 5)
        if step * power * BINS >= lengths
    )
    return np.arange(0, lengths + width, width) - 0.5


def counts(words: pd.DataFrame) -> dict[str, np.ndarray]:
    """System → answers in each bin, of tuned the mean over seeds."""
    bins = edges(words)
    # Those beyond the axis count in its last bin.
    return {
        name: np.histogram(np.minimum(part.to_numpy(), bins[-1]), bins)[0] / part.shape[1]
        for name, part in by_system(words).items()
    }


def beyond(words: pd.DataFrame) -> int | None:
    """The first length of the last bin, where longer answers than it has room for are in it."""
    bins = edges(words)
    return int(bins[-2] + 0.5) if words.to_numpy().max() > bins[-1] else None


def plot(words: pd.DataFrame, seeds: Sequence[int]) -> Figure:
    """A histogram of each, below each other, with the median dashed; tuned: the mean over seeds.

    words: columns reference, base and "seed N", a row for each example, in words
    """
    if words.empty:
        return empty("There are no answers.")
    systems, bins, middle = counts(words), edges(words), medians(words)
    titles = {"reference": "reference", "base": "base", "tuned": f"tuned, {aggregation(seeds)}"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 0.85 * len(systems) + 0.35), layout="constrained")
        axes = figure.subplots(len(systems), sharex=True)
        for axis, (name, heights) in zip(axes, systems.items(), strict=True):
            sns.histplot(
                x=(bins[1:] + bins[:-1]) / 2, weights=heights, bins=list(bins), element="step",
                ax=axis, color=COLORS[name], alpha=1.0, linewidth=1.2, fill=name != "reference",
            )  # fmt: skip
            _median(axis, middle[name], name)
            axis.set_title(
                f"{titles[name]}: median {numbers.format_count_mean(middle[name])}",
                color=COLORS[name], pad=3,
            )  # fmt: skip
            axis.set_ylabel("")
            axis.set_ylim(0, 1.05 * heights.max())
            axis.yaxis.set_major_locator(MaxNLocator(2, steps=STEPS, integer=True))
            axis.grid(axis="y")
            axis.spines["left"].set_visible(False)
            axis.tick_params(axis="y", length=0)
        axes[-1].set_xlim(bins[0], bins[-1])
        axes[-1].xaxis.set_major_locator(MaxNLocator(7, steps=STEPS, integer=True))
        axes[-1].set_xlabel("words of an answer")
    return figure


def _median(axis, value: float, name: str) -> None:
    """A dashed line that is seen on a filled bar too: over a line of the paper's color."""
    if name != "reference":
        axis.axvline(value, color=PAPER, linewidth=2.6)
    axis.axvline(value, color=INK, linewidth=1.2, linestyle=(0, (2, 2)))
