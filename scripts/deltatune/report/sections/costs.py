"""Time and memory, by stage and by job."""

import pandas as pd

from deltatune.core.table import Cell, Column, Row, Table, table
from deltatune.report import numbers
from deltatune.report import times as report_times
from deltatune.report.data import ReportData
from deltatune.report.figures import embed, timeline

NAME, TITLE = "costs", "Time and memory"


def view(data: ReportData) -> dict | None:
    """Time and memory by stage, and by job where a stage has more than one."""
    costs = data.costs
    if costs.empty:
        return None
    columns = ["seconds", "peak_memory_gb", "tokens_per_second"]
    costs = costs.assign(**{name: pd.to_numeric(costs[name], errors="coerce") for name in columns})
    groups = costs.groupby("stage", sort=False)
    stages = pd.DataFrame(
        {
            "name": groups.size().map(lambda count: numbers.plural(int(count), "jobs")),
            "seconds": groups["seconds"].sum(min_count=1),
            "peak_memory_gb": groups["peak_memory_gb"].max(),
            "tokens_per_second": groups["tokens_per_second"].mean(),
        }
    ).reset_index()
    foot = Row(
        {
            "stage": Cell("All"),
            "of": Cell(numbers.plural(len(costs), "jobs")),
            "seconds": _time(costs["seconds"].sum()),
            "peak_memory_gb": _memory(costs["peak_memory_gb"].max()),
        }
    )
    return {
        "stages": _table("stages", "Time and memory of each stage", "Jobs", stages, foot),
        "jobs": _table("jobs", "Time and memory of each job", "For", costs, None),
        "note": _note(costs, "of the run that are done" if data.missing_results else "of the run"),
        "timeline": timeline_view(data.times),
    }


def timeline_view(times: pd.DataFrame) -> dict | None:
    """When the jobs of each stage ran. None where that is not known."""
    if times.empty:
        return None
    clock = report_times.clock(times)
    longest = times.assign(seconds=times["ended"] - times["started"]).groupby("stage")["seconds"]
    slowest = longest.sum().idxmax()
    share = longest.sum()[slowest] / max(longest.sum().sum(), 1e-9)
    figure = embed.view(
        timeline.plot(times),
        "When each stage ran",
        f"{numbers.plural(len(times), 'jobs')} of {numbers.plural(len(longest), 'stages')}. "
        f"{slowest} took most: {share:.0%} of the time of all jobs.",
        "timeline",
    )
    return {"svg": figure["svg"], "caption": wall_time(times, clock)}


def wall_time(times: pd.DataFrame, clock: report_times.Clock) -> str:
    """From the first start to the last end, and how many jobs ran at once."""
    whole = clock.end - clock.start
    working = whole - sum(end - start for start, end in clock.idle)
    jobs = float((times["ended"] - times["started"]).sum())
    text = (
        f"{numbers.format_seconds(whole)} from the start of the first job to the end of the last; "
        f"on average {jobs / max(working, 1e-9):.1f} jobs ran at once. A bar is a job; those that "
        "ran at once lie below each other."
    )
    if clock.idle:
        text += (
            f" At a dashed line {numbers.format_seconds(whole - working)} without a job are left "
            "out: a run that was continued, or results of an earlier run that were found again."
        )
    return text


def _note(costs: pd.DataFrame, of: str) -> str:
    """What the total is of."""
    without = int(costs["seconds"].isna().sum())
    note = (
        f"The total is the time of {numbers.plural(len(costs), 'jobs')}, all {of} from its "
        "data to its metrics, added up whether or not they ran at once. Comparing, drawing and "
        "rendering, which take seconds, are not in it. Memory is the largest of any job."
    )
    if costs["tokens_per_second"].notna().any():
        note += " Tokens per second of a stage are the mean over its jobs."
    if without:
        note += f" {numbers.plural(without, 'jobs')} without a known time count as none."
    return note


def _table(name: str, title: str, of: str, frame: pd.DataFrame, foot: Row | None) -> Table:
    """A row for each of the frame's; `of` names what its jobs are, or what they are for."""
    columns = [
        Column("stage", "Stage"),
        Column("of", of),
        Column("seconds", "Time", "number"),
        Column("peak_memory_gb", "Peak memory, GB", "number"),
    ]
    if frame["tokens_per_second"].notna().any():
        columns.append(Column("tokens_per_second", "Tokens per second", "number"))
    longest = frame["seconds"].max()
    rows = [
        Row(
            {
                "stage": Cell(row["stage"]),
                "of": Cell(row["name"]),
                "seconds": _time(row["seconds"], row["seconds"] / longest if longest else 0),
                "peak_memory_gb": _memory(row["peak_memory_gb"]),
                "tokens_per_second": Cell(
                    numbers.format_count(row["tokens_per_second"]), row["tokens_per_second"]
                ),
            }
        )
        for row in frame.to_dict("records")
    ]
    return table(name, title, columns, rows, foot=foot, sortable=True)


def _time(seconds: float, share: float | None = None) -> Cell:
    return Cell(numbers.format_seconds(seconds), seconds, share=share)


def _memory(gigabytes: float) -> Cell:
    return Cell(numbers.format_number(gigabytes, 2), gigabytes)
