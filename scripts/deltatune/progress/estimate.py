"""How long a run will still take, from the jobs that it has finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

SECONDS = {
    "fetch_dataset": 2,
    "chunk_text": 2,
    "split_dataset": 3,
    "tokenize_split": 5,
    "pretrain_model": 60,
    "train_adapter": 50,
    "generate_answers": 12,
    "answer_prompts": 6,
    "score_text": 8,
    "score_labels": 10,
    "compute_metrics": 5,
}
"""Seconds of a job in the default configuration on two cores, as far as no job of its rule has
ended. Their ratios matter, not their size: that is what the finished jobs say."""
OTHERS = 3
"""Seconds of a job of another rule."""


def remaining_seconds(
    waiting: Mapping[str, int],
    running: Sequence[tuple[str, float]],
    finished: Mapping[str, Sequence[float]],
    at_once: float,
) -> float | None:
    """Seconds until all jobs are done; None before the first has ended.

    waiting: rule -> jobs that have not begun. running: (rule, seconds since its start) of each job.
    finished: rule -> seconds of each job that has ended. at_once: how many jobs run at a time.

    A rule with finished jobs is taken to need their mean; another one what `SECONDS` says, times
    how much longer than that the finished ones took, all together.
    """
    total = sum(sum(each) for each in finished.values())
    if not total:
        return None
    expected = sum(SECONDS.get(rule, OTHERS) * len(each) for rule, each in finished.items())
    slowness = total / expected

    def of(rule: str) -> float:
        known = finished.get(rule)
        return fmean(known) if known else SECONDS.get(rule, OTHERS) * slowness

    left = sum(count * of(rule) for rule, count in waiting.items())
    left += sum(max(0.0, of(rule) - seconds) for rule, seconds in running)
    return left / max(1.0, at_once)


def in_words(seconds: float) -> str:
    """`about 3 min left`; hours from 90 minutes on."""
    if seconds < 50:
        return f"about {max(10, round(seconds, -1)):.0f} s left"
    if seconds < 5400:
        return f"about {max(1, round(seconds / 60)):.0f} min left"
    return f"about {seconds / 3600:.1f} h left"


def clock(seconds: float) -> str:
    """`1:05`, with hours `2:03:07`."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
