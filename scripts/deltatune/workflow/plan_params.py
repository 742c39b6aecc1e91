"""What `snakemake plan` is made of."""

from __future__ import annotations

from deltatune.core.paths import RESULTS
from deltatune.plan.settings import Files, Planned, PlanSettings
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams


class PlanParams(StageParams):
    def print_plan(self, wildcards: Wildcards) -> dict:
        return self.plan().model_dump(mode="json")

    def plan(self) -> PlanSettings:
        return PlanSettings(
            experiments=[self._planned(name) for name in self._selection.experiments],
            weights=self._settings.evaluation.weights,
            hardware=self._settings.hardware,
            confidence=self._settings.statistics.confidence,
            family=len(self._selection.pairs(own=True)),
        )

    def _planned(self, name: str) -> Planned:
        chosen = self._selection.experiment(name)
        task = self._settings.tasks[chosen.task]
        return Planned.part_of(
            chosen,
            experiment=name,
            model_name=chosen.model,
            model=self._settings.models[chosen.model],
            task_name=chosen.task,
            task=task,
            others={
                other: self._settings.tasks[other]
                for experiment, other in self._selection.cross_task
                if experiment == name
            },
            dataset=self._settings.datasets[task.dataset],
            text=self._selection.is_text(task.dataset),
            paths=self._paths.source(task.dataset),
            seeds=len(self._settings.seeds),
            files=Files(
                model=f"models/{chosen.model}/model",
                tokens=f"tokens/{chosen.task}/{chosen.model}/train.json",
                split=f"tasks/{chosen.task}/manifest.json",
                train=f"tasks/{chosen.task}/train.parquet",
                records=self._paths.records(chosen.task).removeprefix(f"{RESULTS}/"),
            ),
        )
