"""What limits the figures of the page."""

from deltatune.report.data import ReportData
from deltatune.report.words import limits

NAME, TITLE = "limits", "Limits"


def view(data: ReportData) -> list[str]:
    """A sentence for each limit that holds, the strongest first; the section says so where there
    are none."""
    return [str(one) for one in limits.shown(data)]
