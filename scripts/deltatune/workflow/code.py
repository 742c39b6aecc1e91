"""The code of each stage, as a digest among its params, see `digest`.

A script names its imports, but the kind of a task and its metrics are found by name at run time:
which of them a job reaches is read from its wildcards.
"""

from __future__ import annotations

from collections.abc import Callable

from deltatune.core.paths import SCRIPTS
from deltatune.workflow import digest
from deltatune.workflow.selection import Selection, Wildcards

Param = Callable[[Wildcards], str]
"""A function of Snakemake's params."""


class Code:
    def __init__(self, selection: Selection) -> None:
        self._selection = selection

    def of(self, script: str, *plugins: str) -> str:
        """The digest of a script and of all it imports. plugins: modules found by name."""
        return digest.code_digest(SCRIPTS / f"{script}.py", plugins)

    def with_kind(self, script: str) -> Param:
        """The same, with the kind of the task."""
        return lambda wildcards: self.of(script, self._kind(self._selection.task_of(wildcards)))

    def with_metrics(self, script: str) -> Param:
        """The same, with the metrics of the task."""
        return lambda wildcards: self.of(script, *self._metrics(wildcards.task))

    def with_kind_and_metrics(self, script: str) -> Param:
        """The same, with both."""
        return lambda wildcards: self.of(
            script, self._kind(wildcards.task), *self._metrics(wildcards.task)
        )

    def with_main_metrics(self, script: str) -> Param:
        """The same, with the main metrics of the tasks that have plain baselines."""

        def code(wildcards: Wildcards) -> str:
            tasks = {self._selection.experiment(n).task for n in self._selection.with_baselines}
            modules = {
                self._metric(task, self._selection.settings.tasks[task].main_metric)
                for task in tasks
            }
            return self.of(script, *sorted(modules))

        return code

    def with_corpus(self, script: str) -> Param:
        """The same, with the kinds of the tasks that a model is pretrained on."""

        def code(wildcards: Wildcards) -> str:
            corpus = self._selection.settings.models[wildcards.model].corpus
            return self.of(script, *dict.fromkeys(map(self._kind, corpus)))

        return code

    def _kind(self, task: str) -> str:
        return f"deltatune.tasks.{self._selection.kind(task)}"

    def _metrics(self, task: str) -> list[str]:
        names = self._selection.settings.tasks[task].metrics
        return [self._metric(task, name) for name in names]

    def _metric(self, task: str, name: str) -> str:
        return f"deltatune.metrics.{self._selection.output_type(task)}.{name}"
