"""Versions, commits, machines and digests, as the jobs recorded them."""

from deltatune.report.data import ReportData

NAME, TITLE = "provenance", "Provenance"


def view(data: ReportData) -> dict | None:
    return data.provenance or None
