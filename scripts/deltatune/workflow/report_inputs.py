"""What the report shows of a run, and the files that it reads for that."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from deltatune.config import cross_task
from deltatune.config.datasets import with_parts
from deltatune.core import made_with
from deltatune.core.paths import RESULTS
from deltatune.report.places import exchange
from deltatune.workflow.brief import Brief
from deltatune.workflow.jobs import Jobs, by_rule
from deltatune.workflow.params import Params
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection, Wildcards


class ReportInputs:
    def __init__(self, selection: Selection, paths: Paths, params: Params, jobs: Jobs) -> None:
        self._selection, self._paths, self._params = selection, paths, params
        self._jobs = jobs
        self._settings = selection.settings

    def plan(self, wildcards: Wildcards = None) -> dict[str, Any]:
        """Experiments, tasks, models and jobs of the report, with the places of their files among
        `files`: a param of render_report."""
        return self._planned[0]

    def files(self, wildcards: Wildcards = None) -> list[str]:
        """All files of the plan, each once: an input of render_report."""
        return self._planned[1]

    def partial(self, wildcards: Wildcards = None) -> dict[str, Any]:
        """The same with the paths of the files below the folder of all results, and with the logs
        of the jobs: a param of report_partial, which has no inputs."""
        plan = exchange(self._plan(), lambda path: path.removeprefix(f"{RESULTS}/"))
        return Brief({**plan, "logs": by_rule(self._jobs, lambda job: job.log)})

    @cached_property
    def _planned(self) -> tuple[dict[str, Any], list[str]]:
        places: dict[str, int] = {}
        plan = exchange(self._plan(), lambda path: places.setdefault(path, len(places)))
        return Brief(plan), list(places)

    def _plan(self) -> dict[str, Any]:
        """With paths."""
        chosen = self._selection.experiments
        models = {e.model: f"{RESULTS}/models/{e.model}/manifest.json" for e in chosen.values()}
        return {
            "experiments": {name: self._experiment(name) for name in chosen},
            "tasks": {task: self._task(task) for task in self._selection.tasks},
            "pairs": [
                self._pair(name, task)
                for own in (True, False)
                for name, task in self._selection.pairs(own)
            ],
            "left_out": [
                {"experiment": name, "task": task, "reason": problem.message}
                for (name, task), problem in cross_task.left_out(self._settings).items()
            ],
            "models": models,
            "jobs": by_rule(self._jobs, lambda job: job.manifest),
            "made_with": by_rule(self._jobs, lambda job: made_with.fingerprint(job.settings)),
        }

    def _experiment(self, name: str) -> dict[str, Any]:
        e = self._selection.experiment(name)
        kind = self._selection.task_kind(e.task)
        files = {
            "losses": self._paths.runs(name, "loss.csv"),
            "runs": self._paths.runs(name, "manifest.json"),
            "scores": self._paths.evaluated(name, "scores.parquet"),
            "own_answers": self._paths.own_answers(name, "answers.parquet"),
        }
        for outputs in self._selection.evaluations(e.task, own=True).values():
            files[outputs] = self._paths.evaluated(name, f"{outputs}.parquet")
        if labels := self._paths.labels(e.task):
            files["classes"] = labels
        return {
            "task": e.task,
            "kind": kind.TITLE,
            "outputs": kind.OUTPUTS,
            "unit": kind.UNIT,
            "model": e.model,
            "quantization": e.quantization,
            "main_metric": self._settings.tasks[e.task].main_metric,
            "built_here": self._selection.is_pretrained_here(e.model),
            "settings": {"lora": e.lora.model_dump(), "training": e.training.model_dump()},
            "seeds": self._settings.seeds,
            "chosen_on": e.chosen_on,
            "published": e.published.model_dump() if e.published else None,
            "files": dict(sorted(files.items())),
        }

    def _pair(self, experiment: str, task: str) -> dict[str, Any]:
        """An experiment on its own or another task: the metrics of its systems, the manifests of
        their evaluations, and what they put out, example by example."""
        kind = self._selection.task_kind(task)
        files = {
            "metrics": self._paths.evaluated(experiment, "metrics.json", task),
            "evaluations": self._paths.evaluated(experiment, f"{kind.OUTPUTS}.json", task),
            "scores": self._paths.evaluated(experiment, "scores.parquet", task),
            "outputs": self._paths.evaluated(experiment, f"{kind.OUTPUTS}.parquet", task),
            "classes": self._paths.labels(task),
        }
        return {
            "experiment": experiment,
            "task": task,
            "outputs": kind.OUTPUTS,
            "unit": kind.UNIT,
            "main_metric": self._settings.tasks[task].main_metric,
            "files": files,
        }

    def _task(self, task: str) -> dict[str, Any]:
        baselines = self._selection.baselines(task)
        return {
            "files": self._task_files(task),
            "baselines": {name: baseline.title for name, baseline in baselines.items()},
            "tokenized_for": self._models(task)[0],
        }

    def _models(self, task: str) -> list[str]:
        """Of the experiments on a task; the files of its tokens are those of the first."""
        return [e.model for e in self._selection.experiments.values() if e.task == task]

    def _task_files(self, task: str) -> dict[str, Any]:
        tokens = f"{RESULTS}/tokens/{task}/{self._models(task)[0]}"
        dataset = self._settings.tasks[task].dataset
        files = {
            "dataset": f"{RESULTS}/datasets/{dataset}/manifest.json",
            "split": f"{RESULTS}/tasks/{task}/manifest.json",
            "tokens": {split: f"{tokens}/{split}.json" for split in ("train", "validation")},
        }
        if parts := with_parts(self._settings, dataset)[:-1]:
            files["parts"] = [f"{RESULTS}/datasets/{part}/manifest.json" for part in parts]
        if self._selection.is_text(dataset):
            files["chunks"] = f"{RESULTS}/datasets/{dataset}/chunks.json"
        return files
