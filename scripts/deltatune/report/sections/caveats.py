"""Leakage and caveats: what the manifests say, then what follows from the numbers."""

from collections.abc import Iterator

from deltatune.report import numbers, outcomes
from deltatune.report.caveats import Caveat, Code, tested
from deltatune.report.data import ReportData

FEW_EXAMPLES = 30
FEW_CLUSTERS = 10


def view(data: ReportData) -> list[str]:
    """Sentences, each once."""
    caveats = [*data.caveats, *from_numbers(data)]
    return list(dict.fromkeys(map(str, caveats)))


def from_numbers(data: ReportData) -> Iterator[Caveat]:
    """What follows from the comparison, the seeds and the counts of records."""
    for name, experiment in data.experiments.items():
        if len(experiment.get("seeds", [])) == 1:
            yield Caveat(Code.ONE_SEED, {"experiment": name})
    for row in outcomes.main_rows(data.comparison, data.experiments).to_dict("records"):
        yield from _of_row(data, row)
    for task, counts in data.records.items():
        exact, near = counts.get("duplicates") or 0, counts.get("near_duplicates") or 0
        threshold = counts.get("near_duplicate_threshold")
        if exact or near:
            code = Code.EXACT_DUPLICATES if threshold is None else Code.DUPLICATES
            details = {"task": task, "exact": exact, "near": near, "tested": tested(threshold)}
            yield Caveat(code, details)
        if counts.get("truncated"):
            yield Caveat(Code.TRUNCATED, {"task": task, "count": counts["truncated"]})


def _of_row(data: ReportData, row: dict) -> Iterator[Caveat]:
    """How far the main row of a pair can be trusted."""
    detail = outcomes.detail_of(data.details, row)
    spread, delta = detail.get("seed_sd"), row["delta"]
    if numbers.finite(spread) and numbers.finite(delta) and spread > 0:
        decimals = max(numbers.decimals_for(row), 2)
        if float(spread) >= abs(float(delta)) / 2:
            yield Caveat(
                Code.SEED_SPREAD,
                {
                    "experiment": row["experiment"],
                    "task": row["task"],
                    "metric": data.metric_title(row["metric"]),
                    "seed_sd": numbers.format_number(spread, decimals),
                    "delta": numbers.format_signed(delta, decimals),
                },
            )
    if numbers.finite(row["n"]) and float(row["n"]) < FEW_EXAMPLES:
        yield Caveat(Code.FEW_EXAMPLES, {"task": row["task"], "count": int(row["n"])})
    elif numbers.finite(detail.get("clusters")) and float(detail["clusters"]) < FEW_CLUSTERS:
        clusters = numbers.plural(int(detail["clusters"]), detail.get("unit") or "clusters")
        yield Caveat(Code.FEW_CLUSTERS, {"task": row["task"], "clusters": clusters})
