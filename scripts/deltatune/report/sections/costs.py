"""Time and memory, by stage and by job."""

import pandas as pd

from deltatune.report import numbers
from deltatune.report.data import ReportData

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
    return {
        "stages": _cost_rows(stages),
        "jobs": _cost_rows(costs),
        "total": numbers.format_seconds(costs["seconds"].sum()),
        "count": numbers.plural(len(costs), "jobs"),
        "note": _note(costs),
        "memory": numbers.format_number(costs["peak_memory_gb"].max(), 2),
        "speeds": bool(costs["tokens_per_second"].notna().any()),
    }


def _note(costs: pd.DataFrame) -> str:
    """What the total is of."""
    without = int(costs["seconds"].isna().sum())
    note = (
        f"The total is the time of {numbers.plural(len(costs), 'jobs')}, all of the run from its "
        "data to its metrics, added up whether or not they ran at once. Comparing, drawing and "
        "rendering, which take seconds, are not in it. Memory is the largest of any job."
    )
    if costs["tokens_per_second"].notna().any():
        note += " Tokens per second of a stage are the mean over its jobs."
    if without:
        note += f" {numbers.plural(without, 'jobs')} without a known time count as none."
    return note


def _cost_rows(frame: pd.DataFrame) -> list[dict]:
    longest = frame["seconds"].max()
    rows = []
    for row in frame.to_dict("records"):
        known = numbers.finite(row["seconds"]) and numbers.finite(longest) and longest > 0
        rows.append(
            {
                "stage": row["stage"],
                "name": row["name"],
                "seconds": numbers.format_seconds(row["seconds"]),
                "share": f"{100 * row['seconds'] / longest if known else 0:.1f}",
                "memory": numbers.format_number(row["peak_memory_gb"], 2),
                "speed": numbers.format_count(row["tokens_per_second"]),
            }
        )
    return rows
