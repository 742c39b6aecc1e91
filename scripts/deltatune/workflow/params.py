"""What each stage depends on: its own part of the settings.

The rules ask here instead of reaching into the config, so that a stage's params hold exactly what
changes its result.
"""

from __future__ import annotations

from deltatune.workflow.data_params import DataParams
from deltatune.workflow.evaluation_params import EvaluationParams
from deltatune.workflow.model_params import ModelParams
from deltatune.workflow.plan_params import PlanParams
from deltatune.workflow.report_params import ReportParams


class Params(DataParams, ModelParams, EvaluationParams, ReportParams, PlanParams):
    """The params of all rules, by group of stages."""
