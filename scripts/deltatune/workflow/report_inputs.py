"""What the report shows of a run, and the files that it reads for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deltatune.config import cross_task
from deltatune.core.paths import RESULTS
from deltatune.report.places import exchange
from deltatune.workflow.params import Params
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import COMPARED, Selection, Wildcards


class ReportInputs:
    def __init__(self, selection: Selection, paths: Paths, params: Params) -> None:
        self._selection, self._paths, self._params = selection, paths, params
        self._settings = selection.settings

    def plan(self, wildcards: Wildcards = None) -> dict[str, Any]:
        """Experiments, tasks, models and jobs of the report, with the places of their files among
        `files`: a param of render_report."""
        return self._planned()[0]

    def files(self, wildcards: Wildcards = None) -> list[str]:
        """All files of the plan, each once: an input of render_report."""
        return self._planned()[1]

    def _planned(self) -> tuple[dict[str, Any], list[str]]:
        chosen = self._selection.experiments
        models = {e.model: f"{RESULTS}/models/{e.model}/manifest.json" for e in chosen.values()}
        plan = {
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
            "jobs": self._jobs(),
        }
        places: dict[str, int] = {}
        plan = exchange(plan, lambda path: places.setdefault(path, len(places)))
        return plan, list(places)

    def _experiment(self, name: str) -> dict[str, Any]:
        e = self._selection.experiment(name)
        kind = self._selection.task_kind(e.task)
        files = {
            "losses": self._paths.runs(name, "loss.csv"),
            "runs": self._paths.runs(name, "manifest.json"),
            "scores": self._paths.evaluated(name, "scores.parquet"),
        }
        for outputs in self._selection.evaluations(e.task, own=True).values():
            files[outputs] = self._paths.evaluated(name, f"{outputs}.parquet")
        labels = self._params.labels(e.task)
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
            **({"labels": labels} if labels else {}),
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

    # ------------------------------------------------------------ jobs

    def _jobs(self) -> dict[str, dict[str, str]]:
        """Rule -> job -> its manifest, of every job of the run that leaves one: all but those that
        compare, draw and render, which take seconds."""
        jobs: dict[str, dict[str, str]] = {}
        for rule, name, path in [*self._data_jobs(), *self._model_jobs(), *self._evaluation_jobs()]:
            jobs.setdefault(rule, {})[name] = f"{RESULTS}/{path}"
        return jobs

    def _data_jobs(self) -> Iterator[tuple[str, str, str]]:
        for dataset in self._selection.datasets:
            yield "fetch_dataset", dataset, f"datasets/{dataset}/manifest.json"
            if self._selection.is_text(dataset):
                yield "chunk_text", dataset, f"datasets/{dataset}/chunks.json"
        for task in self._selection.all_tasks:
            yield "split_dataset", task, f"tasks/{task}/manifest.json"

    def _model_jobs(self) -> Iterator[tuple[str, str, str]]:
        chosen = self._selection.experiments
        for model in dict.fromkeys(e.model for e in chosen.values()):
            here = self._selection.is_pretrained_here(model)
            rule = "pretrain_model" if here else "fetch_model"
            yield rule, model, f"models/{model}/manifest.json"
        for name, e in chosen.items():
            tokens = [(e.task, "train"), (e.task, "validation")]
            gptq = self._settings.models[e.model].gptq
            if e.quantization == "gptq" and gptq is not None:
                tokens.append((gptq.calibration, "train"))
                folder = f"models/{e.model}/gptq-{gptq.calibration}"
                yield "quantize_model", e.model, f"{folder}/manifest.json"
            for task, split in tokens:
                where = f"{task}, {split}, {e.model}"
                yield "tokenize_split", where, f"tokens/{task}/{e.model}/{split}.json"
            for seed in self._settings.seeds:
                path = f"experiments/{name}/seed-{seed}/manifest.json"
                yield "train_adapter", f"{name}, seed {seed}", path

    def _evaluation_jobs(self) -> Iterator[tuple[str, str, str]]:
        selection, evaluations = self._selection, f"evaluations/{COMPARED}"
        for own in (True, False):
            for name, task in selection.pairs(own):
                for system in (selection.base(name), *selection.tuned(name)):
                    folder, where = f"{evaluations}/{task}/{system}", f"{system} on {task}"
                    for rule, outputs in selection.evaluations(task, own).items():
                        yield rule, where, f"{folder}/{outputs}.json"
                    yield "compute_metrics", where, f"{folder}/metrics.json"
        for task in selection.tasks:
            # One job for all of a task: the last file that it writes has all of its seconds.
            for name in list(selection.baselines(task))[-1:]:
                rule = f"fit_{selection.output_type(task).removesuffix('s')}_baselines"
                yield rule, task, f"{evaluations}/{task}/baseline/{name}/metrics.json"

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
