"""What figures, the page and `snakemake plan` depend on."""

from __future__ import annotations

from deltatune.metrics.metadata import metadata
from deltatune.report.figures.settings import (
    ConfusionSettings,
    DifferencesSettings,
    ForestSettings,
    LossesSettings,
)
from deltatune.report.settings import ReportSettings
from deltatune.workflow.brief import Brief
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams


class ReportParams(StageParams):
    def plot_losses(self, wildcards: Wildcards) -> dict:
        return LossesSettings(
            experiment=wildcards.experiment, seeds=self._settings.seeds
        ).model_dump(mode="json")

    def plot_differences(self, wildcards: Wildcards) -> dict:
        task = self._selection.task_of(wildcards)
        name = self._settings.tasks[task].main_metric
        metric = metadata(self._selection.output_type(task), name)
        return DifferencesSettings(
            experiment=wildcards.experiment,
            metric=name,
            title=metric.title,
            higher_is_better=metric.higher_is_better,
            unit=self._selection.task_kind(task).UNIT,
            seeds=self._settings.seeds,
        ).model_dump(mode="json")

    def plot_confusion(self, wildcards: Wildcards) -> dict:
        return ConfusionSettings(
            experiment=wildcards.experiment, seeds=self._settings.seeds
        ).model_dump(mode="json")

    def plot_forest(self, wildcards: Wildcards) -> dict:
        metrics = {
            name: metadata(self._selection.output_type(task), name)
            for own in (True, False)
            for _, task in self._selection.pairs(own)
            for name in [self._settings.tasks[task].main_metric]
        }
        return ForestSettings(
            titles={name: metric.title for name, metric in metrics.items()},
            seeds=self._settings.seeds,
            tests=len(self._selection.pairs(own=True)),
            other_tests=len(self._selection.pairs(own=False)),
            confidence=self._settings.statistics.confidence,
        ).model_dump(mode="json")

    def page_content(self, wildcards: Wildcards) -> dict[str, str]:
        return Brief(self.content(*self._paths.page_files()))

    def table_styles(self, wildcards: Wildcards) -> dict[str, str]:
        return self.content(*self._paths.table_styles())

    def render_report(self, wildcards: Wildcards) -> dict:
        statistics = self._settings.statistics
        return ReportSettings(
            report=self._settings.report,
            confidence=statistics.confidence,
            margins=statistics.margins,
        ).model_dump(mode="json")
