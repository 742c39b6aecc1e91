"""What a run has done so far, by Snakemake's own events."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deltatune.progress import estimate
from deltatune.progress.stages import Stage

REASONS = {
    "Missing output files": "no result yet",
    "Incomplete output files": "was interrupted",
    "Updated input files": "an input has changed",
    "Input files updated by another job": "an input is new",
    "Set of input files has changed": "other inputs",
    "Params have changed": "settings have changed",
    "Code has changed": "code has changed",
    "Software environment definition has changed": "environment has changed",
    "Forced execution": "forced",
}
"""What Snakemake's reason for a job contains -> the same in few words."""


@dataclass
class Job:
    rule: str
    message: str
    started: float


@dataclass
class Run:
    """The jobs of one run.

    stages: in the order in which they are shown. now: the clock, in seconds. planned: rule -> jobs
    to run. failed: the message of each job that failed, with its log.
    """

    stages: Sequence[Stage]
    now: Callable[[], float] = time.monotonic
    planned: Counter[str] = field(default_factory=Counter)
    running: dict[int, Job] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[tuple[str, Path | None]] = field(default_factory=list)
    reasons: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    begun: float | None = None
    _busy: float = 0.0

    def plan(self, stats: Mapping[str, int]) -> None:
        """stats: jobs by rule, and "total". Targets, which are in no stage, are left out."""
        known = {rule for stage in self.stages for rule in stage.rules}
        self.planned = Counter({rule: n for rule, n in stats.items() if rule in known})
        self.begun = self.now()

    def start(self, number: int, rule: str, message: str | None, reason: str) -> None:
        """message, reason: as Snakemake gives them."""
        if rule in self.planned:
            self.running[number] = Job(rule, message or rule, self.now())
            if short := in_short(reason):
                self.reasons[rule].add(short)

    def finish(self, number: int) -> None:
        if job := self.running.pop(number, None):
            self._end(job)
            self.seconds[job.rule].append(self.now() - job.started)

    def fail(self, number: int, rule: str, log: Path | None) -> tuple[str, Path | None]:
        """(what failed, its log)."""
        job = self.running.pop(number, None)
        if job:
            self._end(job)
        self.failed.append((job.message if job else rule, log))
        return self.failed[-1]

    def _end(self, job: Job) -> None:
        self._busy += self.now() - job.started

    # ------------------------------------------------------------ what is shown

    def of_stage(self, stage: Stage) -> tuple[int, int]:
        """(jobs done, jobs in all)."""
        done = sum(len(self.seconds.get(rule, ())) for rule in stage.rules)
        return done, sum(self.planned[rule] for rule in stage.rules)

    def in_stage(self, stage: Stage) -> list[Job]:
        """The running jobs, the last that began first."""
        jobs = [job for job in self.running.values() if job.rule in stage.rules]
        return sorted(jobs, key=lambda job: -job.started)

    def seconds_of(self, stage: Stage) -> float:
        """Of its jobs together, running ones included."""
        now = self.now()
        ended = sum(sum(self.seconds.get(rule, ())) for rule in stage.rules)
        return ended + sum(now - job.started for job in self.in_stage(stage))

    @property
    def done(self) -> int:
        return sum(map(len, self.seconds.values()))

    @property
    def total(self) -> int:
        return self.planned.total()

    @property
    def elapsed(self) -> float:
        return 0.0 if self.begun is None else self.now() - self.begun

    def remaining(self) -> float | None:
        """Seconds, see `estimate.remaining_seconds`."""
        now = self.now()
        running = [(job.rule, now - job.started) for job in self.running.values()]
        waiting = Counter(self.planned)
        waiting.subtract(Counter(rule for rule, _ in running))
        waiting.subtract({rule: len(each) for rule, each in self.seconds.items()})
        busy = self._busy + sum(seconds for _, seconds in running)
        at_once = busy / self.elapsed if self.elapsed else 1.0
        return estimate.remaining_seconds(+waiting, running, self.seconds, at_once)


def in_short(reason: str) -> str:
    """Why a job runs, in few words; "" where Snakemake says nothing known."""
    return next((short for known, short in REASONS.items() if known in reason), "")
