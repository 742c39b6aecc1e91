"""What the scores of a system depend on, as types. Imports no metric."""

from __future__ import annotations

from deltatune.core.schema import Section
from deltatune.metrics.registry import Outputs


class MetricsSettings(Section):
    """All that decides scores, the outputs of the system and the code apart: the params of
    `compute_metrics`."""

    outputs: Outputs
    metrics: list[str]
    """Their names, in the order of the table."""
    language: str = "en"
    """Of the answers."""
