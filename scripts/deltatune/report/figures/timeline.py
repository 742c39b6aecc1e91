"""When the jobs of each stage ran."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from deltatune.report import times as report_times
from deltatune.report.figures import measure
from deltatune.report.figures.style import BASE, INK, MUTED, RULE, STYLE, WIDTH, empty
from deltatune.report.times import Clock

ROW = 0.24
"""Inches of a stage."""
UNITS = ((90.0, 1.0, "s"), (5400.0, 60.0, "min"), (float("inf"), 3600.0, "h"))
"""Up to so many seconds, the axis has these units of so many seconds."""


def plot(times: pd.DataFrame) -> Figure:
    """A row for each stage, in the order in which they began, and a bar for each of its jobs; jobs
    that ran at once lie below each other. Idle times are cut, at a dashed line.

    times: see `times.TIMES`
    """
    if times.empty:
        return empty("No job has recorded its times.")
    clock = report_times.clock(times)
    stages = times.groupby("stage")["started"].min().sort_values(kind="stable").index
    unit, name = next((size, name) for most, size, name in UNITS if clock.span <= most)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, ROW * len(stages) + 0.75), layout="constrained")
        axis = figure.subplots()
        for row, stage in enumerate(stages):
            _bars(axis, row, times[times["stage"] == stage], clock, unit)
        for start, _ in clock.idle:
            axis.axvline(
                (clock.read(start) + clock.cut / 2) / unit, color=MUTED, linewidth=1,
                linestyle=(0, (3, 3)),
            )  # fmt: skip
        axis.set_xlim(0, max(clock.span, 1e-3) / unit)
        axis.set_ylim(len(stages) - 0.5, -0.5)
        axis.set_yticks(range(len(stages)), list(measure.fit(stages, 120, 9.5).values()))
        axis.tick_params(length=0)
        axis.tick_params(axis="y", labelcolor=INK)
        axis.grid(axis="x", color=RULE)
        axis.spines["left"].set_visible(False)
        axis.set_xlabel(f"{name} since the first job started")
    return figure


def _bars(axis, row: int, jobs: pd.DataFrame, clock: Clock, unit: float) -> None:
    spans = list(jobs[["started", "ended"]].itertuples(index=False, name=None))
    lanes = report_times.lanes(spans)
    height = 0.7 / (max(lanes) + 1)
    least = 0.004 * clock.span
    for (start, end), lane in zip(spans, lanes, strict=True):
        begin = clock.read(start)
        axis.barh(
            row - 0.35 + lane * height, max(clock.read(end) - begin, least) / unit,
            left=begin / unit, height=0.86 * height, align="edge", color=BASE, linewidth=0,
        )  # fmt: skip
