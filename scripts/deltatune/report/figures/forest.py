"""All pairs of experiment and task on one scale: what tuning won, and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import matplotlib as mpl
from matplotlib.figure import Figure

from deltatune.compare.fact import Fact
from deltatune.report import labels, numbers, outcomes
from deltatune.report.effects import Effect, effect
from deltatune.report.figures import measure
from deltatune.report.figures.style import (
    BASE,
    INK,
    LOSS,
    MUTED,
    PAPER,
    RULE,
    STYLE,
    TUNED,
    WIDTH,
    empty,
)
from deltatune.report.outcomes import Outcome

#: Marker and color of what a test detected; a hollow diamond for the rest.
MARKERS = {Outcome.IMPROVED: ("o", TUNED), Outcome.WORSENED: ("s", LOSS)}
NOT_SHOWN = ("D", BASE)
KEY = "● better · ■ worse · ◇ not shown"
UNIT = "standard deviations; of perplexity ln(base / tuned)"
UNKNOWN = "not known"
THICK, THIN = 2.6, 0.9
"""Line widths, in points: the interval of the estimand, and that of these adapters."""
END = 3.0
"""Where the axis ends at the most; what lies beyond is an arrow."""
MOST = 24
"""Rows that are drawn at the most: of more pairs, the best and the worst half of these."""


@dataclass(frozen=True)
class Row:
    fact: Fact
    own: bool
    """Whether the experiment was tuned on the task."""
    effect: Effect
    outcome: Outcome
    begins: bool
    """Whether it is the first of its experiment."""


@dataclass(frozen=True)
class Layout:
    """Where things stand, in inches."""

    width: float
    pitch: float
    axis_left: float
    axis_right: float
    line_below: float
    """How far the interval lies below the text of its row."""
    heading: float
    """What the name of an experiment takes above its rows; 0 where it stands before them."""
    tasks: float
    """Where the names of tasks begin."""

    def widened(self, names: Collection[str]) -> Layout:
        """With room for longer names of experiments, such as those of a sweep."""
        if self.heading:
            return self
        labels = measure.fit(names, 72 * MOST_NAME, 10, "bold").values()
        name = max(measure.width(label, 10, "bold") for label in labels) / 72
        more = max(0.0, name + 2 * INSET + NEXT - self.tasks)
        return replace(
            self,
            width=self.width + more,
            axis_left=self.axis_left + more,
            axis_right=self.axis_right + more,
            tasks=self.tasks + more,
        )


HEAD, FOOT, GAP = 0.3, 0.62, 0.13
INSET, NEXT = 0.02, 0.06
"""Where texts begin, and what is left free behind a name: inches."""
MOST_NAME = 3.0
"""What the name of an experiment takes at the most, in inches."""
WIDE = Layout(7.9, 0.27, 2.75, 5.2, 0.0, 0.0, 1.62)
NARROW = Layout(WIDTH, 0.38, 0.15, WIDTH - 0.15, 0.18, 0.19, INSET)
"""Of a phone: each row has its text above its interval."""


def plot(
    own: Sequence[Fact],
    others: Sequence[Fact] = (),
    titles: Mapping[str, str] | None = None,
    confidence: float = numbers.CONFIDENCE,
    decimals: Callable[[Fact], int] | None = None,
    narrow: bool = False,
) -> Figure:
    """A row for each pair, in its task's main metric: the effect of `report.effects` with its
    interval, better at the right, and the figures of base and tuned as they are.

    The experiment's own task stands first, in bold; other tasks below it. A filled circle is an
    improvement, a filled square a harm, decided by Holm-adjusted p-values; a hollow diamond is a
    difference that is not shown. Of more than `MOST` pairs those with the largest gains and the
    largest losses are drawn. A thick line is the interval of the estimand; where that is the
    recipe, a thin line with ends below it is that of these adapters.

    own, others: facts on the tasks that the experiments were tuned on, and on other tasks; those
    that are not of a main metric are left out
    titles: metric → its title; the name stands in for a missing one
    decimals: those of a fact's figures, where it stands beside others than these
    """
    decimals = decimals or numbers.shared_decimals([*own, *others])
    rows = _rows(own, others, outcomes.level(confidence))
    if not any(row.effect.value is not None for row in rows):
        return empty("There is no difference to draw.")
    shown, left_out = chosen(rows)
    layout = (NARROW if narrow else WIDE).widened([row.fact.experiment for row in shown])
    places = _places(shown, layout, left_out > 0)
    bottom = places[-1] + layout.line_below + 0.5 * WIDE.pitch
    height = HEAD + bottom + FOOT
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(layout.width, height))
        axis = figure.add_axes(
            (
                layout.axis_left / layout.width,
                FOOT / height,
                (layout.axis_right - layout.axis_left) / layout.width,
                bottom / height,
            )
        )
        end = _end(shown)
        axis.set_xlim(-end, end)
        # Inches from the top of the axes, downward.
        axis.set_ylim(bottom, 0)
        axis.axis("off")
        _grid(axis, places, layout, end)
        values = [_values(row.fact, titles or {}, decimals(row.fact)) for row in shown]
        names, tasks = _labels(shown, values, layout)
        for row, place, text in zip(shown, places, values, strict=True):
            _interval(axis, row, place + layout.line_below, end)
            label = names[row.fact.experiment], tasks[row.fact.task]
            _texts(axis, row, place, label, text, layout, row.begins or left_out > 0)
        _frame(axis, end, bottom, left_out, layout)
    return figure


def chosen(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """The rows that are drawn, and how many are not."""
    if len(rows) <= MOST:
        return list(rows), 0
    ranked = sorted(rows, key=lambda row: -(row.effect.value or 0.0))
    return ranked[: MOST // 2] + ranked[-MOST // 2 :], len(rows) - MOST


def _rows(own: Sequence[Fact], others: Sequence[Fact], level: float) -> list[Row]:
    """Of each experiment in turn, its own task before the others."""
    groups: dict[str, list[tuple[Fact, bool]]] = {}
    for facts, is_own in ((own, True), (others, False)):
        for fact in outcomes.main_facts(facts):
            groups.setdefault(fact.experiment, []).append((fact, is_own))
    return [
        Row(fact, is_own, effect(fact), outcomes.outcome(fact, level), place == 0)
        for group in groups.values()
        for place, (fact, is_own) in enumerate(group)
    ]


def _places(rows: Sequence[Row], layout: Layout, ranked: bool) -> list[float]:
    """Where each row stands, in inches from the top: experiments are set apart."""
    places, place = [], layout.pitch / 2
    for number, row in enumerate(rows):
        if ranked:
            place += GAP * (number == MOST // 2) + GAP / 2 * (layout.heading > 0)
        else:
            place += GAP * (number > 0 and row.begins)
        place += layout.heading * (row.begins or ranked)
        places.append(place)
        place += layout.pitch
    return places


def _end(rows: Sequence[Row]) -> float:
    values = [
        abs(value)
        for row in rows
        for value in (row.effect.value, row.effect.low, row.effect.high)
        if value is not None
    ]
    return min(END, 1.12 * max([*values, 0.4]))


def _grid(axis, places: Sequence[float], layout: Layout, end: float) -> None:
    """Zero and the ticks behind the intervals alone, so that no line crosses a text."""
    half = layout.pitch * 0.5 if not layout.line_below else 0.1
    for tick in _ticks(end):
        for place in places:
            middle = place + layout.line_below
            axis.plot(
                [tick, tick], [middle - half, middle + half], zorder=0, solid_capstyle="butt",
                color=MUTED if tick == 0 else RULE, linewidth=0.9 if tick == 0 else 0.7,
            )  # fmt: skip


def _ticks(end: float) -> list[float]:
    step = 1.0 if end > 1.5 else 0.5 if end > 0.7 else 0.2
    count = int(end / step + 1e-9)
    return [step * number for number in range(-count, count + 1)]


def _interval(axis, row: Row, place: float, end: float) -> None:
    """The marker and the lines of one row; an arrow at the end where they go beyond the axis."""
    marker, color = MARKERS.get(row.outcome, NOT_SHOWN)
    one = row.effect
    if one.value is None:
        return
    if one.low is not None and one.high is not None:
        _line(axis, (one.low, one.high), place, end, color=color, linewidth=THICK)
    if row.fact.estimand == "recipe" and one.inner_low is not None:
        inner = one.inner_low, one.inner_high
        _line(axis, inner, place + 0.075, end, cap="|", color=color, linewidth=THIN)
    if abs(one.value) > end:
        side = 1 if one.value > 0 else -1
        arrow = ">" if side > 0 else "<"
        axis.plot([side * end], [place], arrow, color=color, markersize=7, clip_on=False)
        return
    hollow = marker == "D"
    axis.plot(
        [one.value], [place], marker, color=color, markersize=5.0 if hollow else 6.5,
        markerfacecolor=PAPER if hollow else color, markeredgewidth=1.5,
    )  # fmt: skip


def _line(
    axis, interval: tuple[float, float], place: float, end: float, cap: str = "", **more
) -> None:
    """An interval as far as the axis goes, with an arrow where it goes on, else with its caps."""
    low, high = interval
    axis.plot([max(low, -end), min(high, end)], [place] * 2, solid_capstyle="butt", **more)
    for value, arrow, beyond in ((low, "<", low < -end), (high, ">", high > end)):
        marker = arrow if beyond else cap
        if marker:
            axis.plot(
                [min(max(value, -end), end)], [place], marker, color=more["color"], markersize=4,
                clip_on=not beyond,
            )  # fmt: skip


def _texts(
    axis,
    row: Row,
    place: float,
    label: tuple[str, str],
    values: str,
    layout: Layout,
    named: bool,
) -> None:
    """Who and where at the left; base → tuned at the right."""
    weight = "bold" if row.own else "normal"
    name, task = label
    write = _writer(axis, layout)
    if named:
        above = layout.heading
        write(INSET, place - above, name, "bold" if above else weight)
    write(layout.tasks, place, task, weight)
    write(layout.width - INSET, place, values, weight, ha="right")
    if row.effect.value is None:
        middle = (layout.axis_left + layout.axis_right) / 2
        write(middle, place + layout.line_below, UNKNOWN, ha="center")


def _labels(
    rows: Sequence[Row], values: Sequence[str], layout: Layout
) -> tuple[dict[str, str], dict[str, str]]:
    """The labels of experiments and of tasks, as wide as there is room."""
    if layout.heading:
        names_end = layout.width
        tasks_room = layout.width - max(measure.width(one, 10, "bold") for one in values) / 72
    else:
        names_end = layout.tasks
        tasks_room = layout.axis_left - layout.tasks
    names = [row.fact.experiment for row in rows]
    tasks = [row.fact.task for row in rows]
    return (
        measure.fit(names, 72 * (names_end - 2 * INSET - NEXT), 10, "bold"),
        measure.fit(tasks, 72 * (tasks_room - 2 * INSET - NEXT), 10, "bold"),
    )


def _values(fact: Fact, titles: Mapping[str, str], decimals: int) -> str:
    """'Accuracy 0.25 → 0.66'."""
    title = labels.shorten(titles.get(fact.metric, fact.metric), 16)
    base, tuned = (numbers.format_number(one, decimals) for one in (fact.base, fact.tuned))
    return f"{title} {base} → {tuned}"


def _writer(axis, layout: Layout) -> Callable:
    """Writes a text at inches from the left edge of the figure and from the top of the axes."""
    span = layout.axis_right - layout.axis_left

    def write(x: float, y: float, text: str, weight: str = "normal", **more) -> None:
        axis.annotate(
            text, ((x - layout.axis_left) / span, y), xycoords=("axes fraction", "data"),
            va="center", annotation_clip=False,
            **{"fontsize": 10, "fontweight": weight, "color": INK, **more},
        )  # fmt: skip

    return write


def _frame(axis, end: float, bottom: float, left_out: int, layout: Layout) -> None:
    """The sides, the columns, the ticks, and how to read it."""
    small = {"fontsize": 9, "color": MUTED}
    say = {**small, "annotation_clip": False, "va": "center"}
    for side, text, where in ((-0.03, "← worse", "right"), (0.03, "better →", "left")):
        axis.annotate(text, (side * end, -0.14), ha=where, **say)
    write = _writer(axis, layout)
    if not layout.heading:
        write(INSET, -0.14, "experiment", **small)
    write(layout.tasks, -0.14, "tested on", **small)
    write(layout.width - INSET, -0.14, "base → tuned", ha="right", **small)
    for tick in _ticks(end):
        axis.annotate(
            numbers.format_signed(tick, 0 if end > 1.5 else 1), (tick, bottom + 0.1),
            ha="center", **say,
        )  # fmt: skip
    axis.annotate(UNIT, (0, bottom + 0.29), ha="center", **say)
    key = f"{KEY} ({left_out} more in the tables)" if left_out else KEY
    axis.annotate(key, (0, bottom + 0.48), ha="center", **say)
