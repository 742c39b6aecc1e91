"""What the page depends on, as types. Reads no results."""

from __future__ import annotations

from pydantic import Field

from deltatune.core.schema import Section


class Report(Section):
    title: str = "What the tuning changed"
    """Title of the report."""
    examples: int = Field(100, ge=3, le=1000)
    """Examples shown per experiment, selected from the best, the worst and the middle."""


class ReportSettings(Section):
    """The params of `render_report`, what it shows apart: see `workflow.report_inputs`."""

    report: Report
    confidence: float
    margins: dict[str, float]
    """Metric -> the largest difference from the base that counts as equivalent."""
