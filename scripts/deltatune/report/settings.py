"""What the page depends on, as types. Reads no results."""

from __future__ import annotations

from pydantic import Field

from deltatune.core.schema import Section


class Report(Section):
    title: str = "What the tuning changed"
    """Title of the report."""
    examples: int = Field(5000, ge=3, le=100_000)
    """Maximum number of examples of a task on the page. Where there are more, or where the page
    would be larger than 12 MB, they are evenly spaced from the largest gain to the largest loss."""


class ReportSettings(Section):
    """The params of `render_report`, what it shows apart: see `workflow.report_inputs`."""

    report: Report
    confidence: float
    margins: dict[str, float]
    """Metric -> the largest difference from the base that counts as equivalent."""
