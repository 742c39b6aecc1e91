"""Differences with their intervals."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from deltatune.compare.fact import Fact
from deltatune.compare.reasons import why_missing
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
THICK, THIN = 2.6, 0.9
"""Line widths, in points: the interval of the estimand, and that of these adapters."""


def plot(
    facts: Sequence[Fact],
    titles: Mapping[str, str] | None = None,
    confidence: float = numbers.CONFIDENCE,
    decimals: Callable[[Fact], int] | None = None,
) -> Figure:
    """Differences with their intervals: one small panel for each metric of a task, in its units.

    Metrics have scales of their own (a point of BLEU is not a point of accuracy), so each panel
    has its own axis, with zero always on it, and names its better side. Experiments that
    share a task and a metric share its panel. The main metric of a task comes first, in bold.

    A thick line is the interval of the estimand; where that is the recipe, a thin line with ends
    is the interval of these adapters. Where there is no interval the reason stands below.

    titles: metric → its title; the name stands in for a missing one
    decimals: those of a fact's difference, where it stands beside others than `facts`
    """
    titles = titles or {}
    decimals = decimals or numbers.shared_decimals(facts)
    panels: dict[tuple[str, str], list[Fact]] = {}
    for fact in facts:
        if numbers.finite(fact.delta):
            panels.setdefault((fact.task, fact.metric), []).append(fact)
    if not panels:
        return empty("There is no difference to draw.")
    order = {task: place for place, task in enumerate(dict.fromkeys(fact.task for fact in facts))}
    chosen = sorted(panels.values(), key=lambda rows: (order[rows[0].task], not rows[0].main))
    heights = [0.72 + 0.27 * sum(1.6 if _note(fact) else 1 for fact in rows) for rows in chosen]
    level = outcomes.level(confidence)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights) + 0.1), layout="constrained")
        figure.get_layout_engine().set(h_pad=0.08, hspace=0.0)
        axes = figure.subplots(
            len(chosen), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
        )
        for axis, rows in zip(axes[:, 0], chosen, strict=True):
            title = label(titles.get(rows[0].metric, rows[0].metric), 40)
            if len(order) > 1:
                title = f"{label(rows[0].task, 20)}: {title}"
            results = [outcomes.outcome(fact, level) for fact in rows]
            _panel(axis, rows, results, title, decimals)
    return figure


def _panel(
    axis, rows: list[Fact], results: list[Outcome], title: str, decimals: Callable[[Fact], int]
) -> None:
    ends, places = [0.0], []
    place = 0.0
    for fact, result in zip(rows, results, strict=True):
        marker, color = MARKERS.get(result, ("D", BASE))
        places.append(place)
        ends += _intervals(axis, fact, place, color)
        ends.append(fact.delta)
        hollow = marker == "D"
        axis.plot(
            [fact.delta],
            [place],
            marker,
            color=color,
            markersize=5.5 if hollow else 6.5,
            markerfacecolor=PAPER if hollow else color,
            markeredgewidth=1.6,
        )
        axis.annotate(
            numbers.format_signed(fact.delta, decimals(fact)),
            (1.02, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=10,
            annotation_clip=False,
        )
        if note := _note(fact):
            place += 0.6
            axis.annotate(
                note,
                (0.0, place),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8.5,
                color=MUTED,
                annotation_clip=False,
            )
        place += 1
    span = (max(ends) - min(ends)) or 1.0
    axis.set_xlim(min(ends) - 0.08 * span, max(ends) + 0.08 * span)
    axis.set_ylim(place - 0.4, -0.6)
    axis.axvline(0, color=MUTED, linewidth=0.9, zorder=0)
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(length=0)
    axis.xaxis.set_major_locator(MaxNLocator(5, steps=STEPS, min_n_ticks=3))
    if len(rows) > 1:
        axis.set_yticks(places, [label(fact.experiment, 18) for fact in rows])
    else:
        axis.set_yticks([])
    axis.tick_params(axis="y", labelcolor=INK)
    axis.set_title(title, fontweight="bold" if rows[0].main else "normal", pad=4)
    title_better_side(axis, rows[0].higher_is_better, pad=4)


def _intervals(axis, fact: Fact, place: float, color: str) -> list[float]:
    """Draws the intervals that there are and returns their ends."""
    ends: list[float] = []
    if numbers.finite(fact.ci_low) and numbers.finite(fact.ci_high):
        ends += [fact.ci_low, fact.ci_high]
        axis.plot(ends, [place, place], color=color, linewidth=THICK, solid_capstyle="butt")
    both = numbers.finite(fact.adapters_low) and numbers.finite(fact.adapters_high)
    if fact.estimand == "recipe" and both:
        inner = [fact.adapters_low, fact.adapters_high]
        # Below the thick line: it would be hidden on it.
        axis.plot(inner, [place + 0.22] * 2, "|-", color=color, linewidth=THIN, markersize=5)
        ends += inner
    return ends


def _note(fact: Fact) -> str:
    """Why a difference has no interval; empty where it has one."""
    if numbers.finite(fact.ci_low) and numbers.finite(fact.ci_high):
        return ""
    why = why_missing(fact.no_interval)
    return label(f"no interval: {why}" if why else "no interval", 74)
