"""Differences with their intervals."""

from collections.abc import Mapping

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.report import numbers, outcomes
from deltatune.report.figures.style import (
    BASE,
    INK,
    LOSS,
    MUTED,
    PAPER,
    STEPS,
    STYLE,
    TUNED,
    WIDTH,
    empty,
    label,
    title_better_side,
)
from deltatune.report.outcomes import Outcome

#: Marker and color of what a test detected; a hollow diamond for the rest.
MARKERS = {Outcome.IMPROVED: ("o", TUNED), Outcome.WORSENED: ("s", LOSS)}


def plot(
    comparison: pd.DataFrame,
    titles: Mapping[str, str] | None = None,
    main: Mapping[str, str] | None = None,
    confidence: float = numbers.CONFIDENCE,
) -> Figure:
    """Differences with their intervals: one small panel for each metric of a task, in its units.

    Metrics have scales of their own (a point of BLEU is not a point of accuracy), so each panel
    has its own axis, with zero always on it, and names its better side. Experiments that
    share a task and a metric share its panel.

    comparison: the comparison table (without an interval only the marker is drawn)
    titles:     metric → its title; the name stands in for a missing one
    main:       task → its main metric, set in bold
    """
    titles, main = titles or {}, main or {}
    panels = [
        (task, metric, rows[rows["delta"].map(numbers.finite)])
        for (task, metric), rows in comparison.groupby(["task", "metric"], sort=False)
    ]
    panels = [panel for panel in panels if len(panel[2])]
    if not panels:
        return empty("There is no difference to draw.")
    order = {task: place for place, task in enumerate(comparison["task"].unique())}
    panels.sort(key=lambda panel: (order[panel[0]], panel[1] != main.get(panel[0])))
    several_tasks = comparison["task"].nunique() > 1
    heights = [0.72 + 0.27 * len(rows) for _, _, rows in panels]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.1), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.08, hspace=0.0)
        axes = figure.subplots(
            len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for axis, (task, metric, rows) in zip(axes, panels, strict=True):
            title = label(titles.get(metric, metric), 40)
            if several_tasks:
                title = f"{label(task, 20)}: {title}"
            _panel(axis, rows.to_dict("records"), title, main.get(task) == metric, confidence)
    return figure


def _panel(axis, rows: list[dict], title: str, strong: bool, confidence: float) -> None:
    ends = [0.0]
    for place, row in enumerate(rows):
        marker, color = MARKERS.get(outcomes.outcome(row, confidence), ("D", BASE))
        interval = [row["ci_low"], row["ci_high"]]
        if all(numbers.finite(end) for end in interval):
            axis.plot(interval, [place, place], color=color, linewidth=2.2)
            ends += interval
        ends.append(row["delta"])
        hollow = marker == "D"
        axis.plot(
            [row["delta"]],
            [place],
            marker,
            color=color,
            markersize=5.5 if hollow else 6.5,
            markerfacecolor=PAPER if hollow else color,
            markeredgewidth=1.6,
        )
        decimals = numbers.decimals_for(row)
        axis.annotate(
            numbers.format_signed(row["delta"], decimals),
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            annotation_clip=False,
        )
    span = (max(ends) - min(ends)) or 1.0
    axis.set_xlim(min(ends) - 0.08 * span, max(ends) + 0.08 * span)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.axvline(0, color=MUTED, linewidth=0.9, zorder=0)
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(length=0)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS, min_n_ticks=3))
    if len(rows) > 1:
        axis.set_yticks(range(len(rows)), [label(row["experiment"], 18) for row in rows])
    else:
        axis.set_yticks([])
    axis.tick_params(axis="y", labelcolor=INK)
    axis.set_title(title, fontweight="bold" if strong else "normal", pad=4)
    title_better_side(axis, numbers.is_true(rows[0]["higher_is_better"]), pad=4)
