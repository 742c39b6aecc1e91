"""When jobs ran: their starts and ends on one clock, without the hours in which none ran."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import pandas as pd

from deltatune.core import manifest

TIMES = ["stage", "name", "started", "ended"]
LONGEST, CUT = 0.25, 0.1
"""Shares of the busy time: a time without a job that is longer than the first is cut to the
second."""


def of_jobs(jobs: Mapping[str, Mapping[str, str]]) -> pd.DataFrame:
    """stage, name, started, ended (seconds since 1970) of each job.

    jobs: rule -> {name of a job: its manifest}; work that was found again keeps its own times.
    """
    rows = []
    for stage, named in jobs.items():
        for name, path in named.items():
            job = manifest.read(path)["job"]
            rows.append((stage, name, _seconds(job["started"]), _seconds(job["ended"])))
    return pd.DataFrame(rows, columns=TIMES)


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


@dataclass(frozen=True)
class Clock:
    """Seconds of work since the first job started; longer idle times are cut to `cut`."""

    idle: tuple[tuple[float, float], ...]
    """(start, end) of each idle time that is cut, in seconds since 1970."""
    cut: float
    start: float
    end: float

    @property
    def span(self) -> float:
        """Seconds on this clock from the first start to the last end."""
        return float(self.read(self.end))

    @property
    def left_out(self) -> float:
        """Idle seconds that are not on this clock."""
        return sum(end - start - self.cut for start, end in self.idle)

    def read(self, moment: float) -> float:
        """What this clock shows at a moment, in seconds since 1970."""
        skipped = sum(
            min(max(moment - start - self.cut, 0.0), end - start - self.cut)
            for start, end in self.idle
        )
        return moment - self.start - skipped


def clock(times: pd.DataFrame) -> Clock:
    """The clock of jobs; times: see `TIMES`, one row or more."""
    busy = _merged(times[["started", "ended"]].itertuples(index=False, name=None))
    total = sum(end - start for start, end in busy)
    gaps = [(one[1], other[0]) for one, other in pairwise(busy)]
    idle = tuple(gap for gap in gaps if gap[1] - gap[0] > LONGEST * total)
    return Clock(idle, CUT * total, busy[0][0], busy[-1][1])


def _merged(spans: Any) -> list[tuple[float, float]]:
    """Spans of time without overlaps, in their order."""
    merged: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, max(start, end)))
    return merged


def lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """For each span the lane in which it overlaps no other, lanes filled from 0 on."""
    ends: list[float] = []
    chosen = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda place: spans[place]):
        start, end = spans[place]
        lane = next((n for n, last in enumerate(ends) if last <= start), len(ends))
        ends[lane:] = [end, *ends[lane + 1 :]]
        chosen[place] = lane
    return chosen
