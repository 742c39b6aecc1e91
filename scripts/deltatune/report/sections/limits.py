"""What limits the figures of the page."""

from deltatune.report.data import ReportData
from deltatune.report.words import limits

NAME, TITLE = "limits", "Limits"
STRONGEST = 6
"""Limits that are read first; the others are folded where there are more than a few."""
FEW = 3


def view(data: ReportData) -> dict[str, list[str]]:
    """A sentence for each limit that holds, the strongest first; the section says so where there
    are none."""
    every = [str(one) for one in limits.shown(data)]
    count = STRONGEST if len(every) > STRONGEST + FEW else len(every)
    return {"strongest": every[:count], "others": every[count:]}
