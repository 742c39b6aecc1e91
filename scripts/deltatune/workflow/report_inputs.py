"""What the report shows of a run, and the files that it reads for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deltatune.core.paths import RESULTS
from deltatune.workflow.params import Params
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection


class ReportInputs:
    def __init__(self, selection: Selection, paths: Paths, params: Params) -> None:
        self._selection, self._paths, self._params = selection, paths, params
        self._settings = selection.settings

    def plan(self) -> dict[str, Any]:
        """Experiments, tasks, models and jobs of the report, with their files."""
        chosen = self._selection.experiments
        experiments = {name: self._experiment(name) for name in chosen}
        models = {e.model: f"{RESULTS}/models/{e.model}/manifest.json" for e in chosen.values()}
        jobs = {
            "pretrain_model": {
                model: path
                for model, path in models.items()
                if self._selection.is_pretrained_here(model)
            },
            "quantize_model": {
                e.model: f"{self._paths.base_dir(e.model, 'gptq')}/manifest.json"
                for e in chosen.values()
                if e.quantization == "gptq"
            },
            "train_adapter": {
                f"{name}, seed {seed}": path
                for name, e in experiments.items()
                for seed, path in zip(e["seeds"], e["files"]["runs"], strict=True)
            },
            "evaluate": {
                f"{name}, {system}": path
                for name in experiments
                for system, path in self._evaluation_jobs(name)
            },
        }
        return {
            "experiments": experiments,
            "tasks": {task: self._task(task) for task in self._selection.tasks},
            "pairs": [
                self._pair(name, task)
                for own in (True, False)
                for name, task in self._selection.pairs(own)
            ],
            "models": models,
            "jobs": {stage: files for stage, files in jobs.items() if files},
        }

    def files(self) -> list[str]:
        """All files of the plan, each once."""
        plan = self.plan()
        parts = [
            *(experiment["files"] for experiment in plan["experiments"].values()),
            *(task["files"] for task in plan["tasks"].values()),
            *(pair["files"] for pair in plan["pairs"]),
            plan["models"],
            plan["jobs"],
        ]
        return list(dict.fromkeys(_leaves(parts)))

    def _experiment(self, name: str) -> dict[str, Any]:
        e = self._selection.experiment(name)
        kind = self._selection.task_kind(e.task)
        files = {
            "losses": self._paths.runs(name, "loss.csv"),
            "runs": self._paths.runs(name, "manifest.json"),
            "scores": self._paths.evaluated(name, "scores.parquet"),
        }
        # Prose is measured by its likelihood, and continued from fixed prompts beside that.
        for outputs in {"text", "answers"} if kind.OUTPUTS == "text" else {kind.OUTPUTS}:
            files[outputs] = self._paths.evaluated(name, f"{outputs}.parquet")
        task = self._params.task(e.task, "labels")
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
            **({"labels": task["labels"]} if "labels" in task else {}),
            "files": dict(sorted(files.items())),
        }

    def _pair(self, experiment: str, task: str) -> dict[str, Any]:
        """An experiment on its own or another task: the metrics of its systems, and the manifests
        of their evaluations."""
        manifest = f"{self._selection.output_type(task)}.json"
        files = {
            "metrics": self._paths.evaluated(experiment, "metrics.json", task),
            "evaluations": self._paths.evaluated(experiment, manifest, task),
        }
        return {"experiment": experiment, "task": task, "files": files}

    def _evaluation_jobs(self, experiment: str) -> list[tuple[str, str]]:
        """(base or seed, manifest) of the evaluations of an experiment on its own task."""
        task = self._selection.experiment(experiment).task
        paths = self._paths.evaluated(experiment, f"{self._selection.output_type(task)}.json")
        seeds = [f"seed {seed}" for seed in self._settings.seeds]
        return [("base", paths["base"]), *zip(seeds, paths["tuned"], strict=True)]

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
        if self._selection.is_text(dataset):
            files["chunks"] = f"{RESULTS}/datasets/{dataset}/chunks.json"
        return files


def _leaves(node: Any) -> list[str]:
    if isinstance(node, Mapping):
        return _leaves(list(node.values()))
    return [leaf for part in node for leaf in _leaves(part)] if isinstance(node, list) else [node]
