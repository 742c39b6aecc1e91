"""The plain baselines of each type of outputs; a new one is a line in its module's BASELINES."""

from __future__ import annotations

from deltatune.evaluate.baselines import answers, labels
from deltatune.evaluate.baselines.base import Baseline
from deltatune.tasks.base import Outputs

BASELINES: dict[Outputs, dict[str, Baseline]] = {
    "answers": answers.BASELINES,
    "labels": labels.BASELINES,
    "text": {},
}
"""Type of outputs -> name -> baseline. None assigns a likelihood to running text."""
