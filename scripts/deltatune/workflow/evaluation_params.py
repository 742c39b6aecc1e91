"""What evaluations and comparisons depend on."""

from __future__ import annotations

from typing import Any

from deltatune.compare.settings import (
    AgainstBaselines,
    BaselinesSettings,
    ComparisonSettings,
    Inference,
    TableSettings,
)
from deltatune.evaluate.baselines.settings import FitSettings
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.evaluate.likelihood_settings import TextSettings
from deltatune.evaluate.own_prompts import OwnPrompts
from deltatune.evaluate.settings import EvaluationSettings
from deltatune.metrics.settings import MetricsSettings
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams

LONGEST_LABEL = 32
"""Tokens of an answer to one's own prompts in a task that is scored by its labels."""


class EvaluationParams(StageParams):
    def generate_answers(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        model = GenerateSettings[type(prompts), type(questions)]
        # Continuations, and answers of kinds without the key, are greedy.
        sampling = getattr(self._settings.tasks[wildcards.task].evaluation, "sampling", None)
        asked = {"prompts": prompts, "questions": questions, "sampling": sampling}
        asked["backend"] = self._settings.evaluation.backend
        return self._evaluation(model, wildcards, **asked, **self._refusal(wildcards.task))

    def answer_prompts(self, wildcards: Wildcards) -> dict:
        prompts = self.prompts(wildcards.task)
        evaluation = self._settings.tasks[wildcards.task].evaluation
        return self._evaluation(
            GenerateSettings[type(prompts), OwnPrompts],
            wildcards,
            prompts=prompts,
            questions=OwnPrompts(texts=self._settings.prompts),
            # A label is short, whatever the base writes in its place.
            max_new_tokens=getattr(evaluation, "max_new_tokens", LONGEST_LABEL),
            sampling=getattr(evaluation, "sampling", None),
            backend=self._settings.evaluation.backend,
            refuses_long_prompts=False,
        )

    def score_text(self, wildcards: Wildcards) -> dict:
        task = self._settings.tasks[wildcards.task]
        # The window of the likelihood, whichever key it comes from.
        context = task.evaluation.context or task.max_length
        return self._evaluation(TextSettings, wildcards, context=context)

    def score_labels(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        model = LabelSettings[type(prompts), type(questions)]
        max_length = self._settings.tasks[wildcards.task].max_length
        asked = {"prompts": prompts, "questions": questions, "max_length": max_length}
        return self._evaluation(model, wildcards, **asked, **self._refusal(wildcards.task))

    def _refusal(self, task: str) -> dict[str, bool]:
        """Test records are cut whether those of training are cut or dropped."""
        return {"refuses_long_prompts": self._settings.tasks[task].overflow == "refuse"}

    def _evaluation(
        self, model: type[EvaluationSettings], wildcards: Wildcards, **others: Any
    ) -> dict:
        """The same for a base and for what was tuned from it. others: what is in no section
        `evaluation`."""
        task = self._settings.tasks[wildcards.task]
        _, quantization = self._selection.base_of(wildcards)
        which = {"task": wildcards.task, "kind": task.kind, "quantization": quantization}
        which["weights"] = self._settings.evaluation.weights
        return model.part_of(task.evaluation, **which, **others).model_dump(mode="json")

    def compute_metrics(self, wildcards: Wildcards) -> dict:
        return self.metrics(wildcards.task).model_dump(mode="json")

    def metrics(self, task: str, names: list[str] | None = None) -> MetricsSettings:
        """names: of the metrics; all of the task, by default."""
        chosen = self._settings.tasks[task]
        return MetricsSettings(
            outputs=self._selection.output_type(task),
            metrics=names or chosen.metrics,
            language=getattr(chosen, "language", "en"),
        )

    def fit_baselines(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        settings = FitSettings[type(prompts), type(questions)](
            kind=self._selection.kind(wildcards.task),
            prompts=prompts,
            questions=questions,
            metrics=self.metrics(wildcards.task),
        )
        return settings.model_dump(mode="json")

    # ------------------------------------------------------------ comparisons

    def compare_systems(self, wildcards: Wildcards) -> dict:
        experiment, task = wildcards.experiment, wildcards.task
        return self.comparison(experiment, task).model_dump(mode="json")

    def comparison(self, experiment: str, task: str) -> ComparisonSettings:
        """Of an experiment on its own or another task, by all metrics of that."""
        own = task == self._selection.experiment(experiment).task
        family = len(self._selection.pairs(own))
        return self._comparison(experiment, task, self.metrics(task), family)

    def _comparison(
        self, experiment: str, task: str, metrics: MetricsSettings, family: int
    ) -> ComparisonSettings:
        return ComparisonSettings(
            experiment=experiment,
            task=task,
            model=self._selection.experiment(experiment).model,
            seeds=self._settings.seeds,
            unit=self._selection.task_kind(task).UNIT,
            metrics=metrics,
            main_metric=self._settings.tasks[task].main_metric,
            family=family,
            statistics=Inference.part_of(self._settings.statistics),
        )

    def join_comparisons(self, wildcards: Wildcards) -> dict:
        return TableSettings(
            confidence=self._settings.statistics.confidence,
            order=self._selection.pairs(own=wildcards.table == "comparison"),
        ).model_dump(mode="json")

    def compare_baselines(self, wildcards: Wildcards) -> dict:
        """Each experiment whose task has plain baselines, by the main metric of that. The scores
        are inputs in the same order."""
        experiments = []
        for name in self._selection.with_baselines:
            task = self._selection.experiment(name).task
            metrics = self.metrics(task, [self._settings.tasks[task].main_metric])
            # Each is a test by itself, see `family.independent`.
            comparison = self._comparison(name, task, metrics, family=1)
            baselines = list(self._selection.baselines(task))
            experiments.append(AgainstBaselines(comparison=comparison, baselines=baselines))
        confidence = self._settings.statistics.confidence
        return BaselinesSettings(confidence=confidence, experiments=experiments).model_dump(
            mode="json"
        )
