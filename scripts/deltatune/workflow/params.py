"""What each stage depends on: its own part of the settings, and the digest of its code.

The rules ask here instead of reaching into the config, so that a stage's params hold exactly what
changes its result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.config.model import HubModel
from deltatune.core.paths import RESULTS, ROOT, SCRIPTS
from deltatune.data.records import group_columns
from deltatune.metrics.metadata import metadata
from deltatune.tasks.registry import load_kind
from deltatune.workflow import digest, user_files
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection

#: Stage -> the keys of a task's `evaluation` that it does not read.
NOT_READ = {
    "generate_answers": ("context", "windows"),
    "score_text": ("continuations", "max_new_tokens"),
}

#: The keys of `evaluation` that only a model is run with: baselines read which records, no more.
OF_MODELS = ("batch_size", "max_new_tokens")


class Params:
    """Plain data: Snakemake compares the reprs of params."""

    def __init__(self, selection: Selection, paths: Paths) -> None:
        self._selection, self._paths = selection, paths
        self._settings = selection.settings
        self._plain = selection.settings.model_dump(mode="json")

    def section(self, name: str) -> dict:
        return self._plain[name]

    # ------------------------------------------------------------ code

    def code(self, script: str, *plugins: str) -> str:
        """The digest of a script and of all it imports, see `digest`."""
        return digest.code_digest(SCRIPTS / f"{script}.py", plugins)

    def kind_code(self, script: str, task: str) -> str:
        """The same, with the kind of a task."""
        return self.code(script, f"deltatune.tasks.{self._selection.kind(task)}")

    def metrics_code(self, script: str, task: str) -> str:
        """The same, with the metrics of a task."""
        return self.code(script, *self._metric_modules(task))

    def baselines_code(self, script: str, task: str) -> str:
        """The same, with the kind and the metrics of a task."""
        kind = f"deltatune.tasks.{self._selection.kind(task)}"
        return self.code(script, kind, *self._metric_modules(task))

    def main_metrics_code(self, script: str) -> str:
        """The same, with the main metrics of the tasks that have plain baselines."""
        tasks = [self._selection.experiment(name).task for name in self._selection.with_baselines]
        modules = [
            self._metric_module(task, self._settings.tasks[task].main_metric) for task in tasks
        ]
        return self.code(script, *sorted(set(modules)))

    def _metric_modules(self, task: str) -> list[str]:
        return [self._metric_module(task, name) for name in self._settings.tasks[task].metrics]

    def _metric_module(self, task: str, metric: str) -> str:
        return f"deltatune.metrics.{self._selection.output_type(task)}.{metric}"

    def model_code(self, script: str, model: str) -> str:
        """The same, with the kinds of the tasks that a model is pretrained on."""
        kinds = dict.fromkeys(self.model(model).get("corpus", {}).values())
        return self.code(script, *(f"deltatune.tasks.{kind}" for kind in kinds))

    # ------------------------------------------------------------ data

    def content(self, paths: str | list[str]) -> dict[str, str]:
        """What files that no rule makes hold, by their names, see `user_files`."""
        paths = [paths] if isinstance(paths, str) else paths
        return {Path(path).name: user_files.fingerprint(path) for path in paths}

    def dataset(self, name: str) -> dict:
        """What fetch_dataset depends on, the file's content apart."""
        chosen = self._plain["datasets"][name]
        # A file's content is a param of its own; what is fetched is known by these settings alone.
        apart = ("chunks", "path", "name")
        fields = {key: value for key, value in chosen.items() if key not in apart}
        # The order of the columns changes no result.
        fields["columns"] = dict(sorted(fields["columns"].items()))
        is_text = self._selection.is_text(name)
        groups = [] if is_text or not fields["columns"] else self._group_columns(name)
        if groups:
            fields["groups"] = groups
        return {"dataset": name, "text": is_text, "format": None, **fields}

    def _group_columns(self, dataset: str) -> list[str]:
        """The columns of a dataset that only `split.group` of its tasks asks for."""
        tasks = [task for task in self._settings.tasks.values() if task.dataset == dataset]
        columns = {column for task in tasks for column in group_columns(task.split.group)}
        return sorted(columns - set(self._settings.datasets[dataset].columns))

    def raw_task(self, name: str, *keys: str) -> dict:
        """The named keys of a task, where its kind has them, as config.yaml has them."""
        task = self._plain["tasks"][name]
        chosen = {"task": name} | {key: task[key] for key in ("kind", *keys) if key in task}
        if isinstance(chosen.get("prompt"), dict):
            chosen["prompt"] = dict(sorted(chosen["prompt"].items()))
        return chosen

    def task(self, name: str, *keys: str) -> dict:
        """The same behind the split, where labels are names whatever stands in the data."""
        task = self.raw_task(name, *keys)
        if "labels" in task:
            task["labels"] = load_kind(task["kind"]).label_names(task["labels"])
        return task

    # ------------------------------------------------------------ models

    def model(self, name: str) -> dict:
        """What making a model depends on, the kinds of its corpus's tasks included."""
        chosen = {"model": name, **self._plain["models"][name]}
        # What is done with it once it is there.
        del chosen["gptq"]
        if self._selection.is_pretrained_here(name):
            chosen["corpus"] = {task: self._selection.kind(task) for task in chosen["corpus"]}
        return chosen

    def gptq(self, model: str) -> dict:
        """What quantizing a model depends on, its weights and the calibration text apart."""
        chosen = self._plain["models"][model]["gptq"]
        return {"model": model} | {key: chosen[key] for key in chosen if key != "calibration"}

    def training(self, experiment: str, seed: str) -> dict:
        chosen = self._plain["experiments"][experiment]
        keys = ("model", "quantization", "lora", "training")
        base = self.base_name(chosen["model"])
        return {key: chosen[key] for key in keys} | {"seed": int(seed), "base": base}

    def base_name(self, model: str) -> dict[str, str | None]:
        """What an adapter calls its base: {"name": id or folder, "revision"}."""
        chosen = self._settings.models[model]
        if isinstance(chosen, HubModel):
            return {"name": chosen.id, "revision": chosen.revision}
        return {"name": f"{RESULTS}/models/{model}/model", "revision": None}

    def merging(self, experiment: str) -> dict:
        """What a merged model and the text that it is checked on depend on, the weights apart."""
        chosen = self._selection.experiment(experiment)
        keys = ("labels", "prompt", "chat", "max_length")
        return self.task(chosen.task, *keys) | {"quantization": chosen.quantization}

    # ------------------------------------------------------------ evaluations

    def evaluation(self, stage: str, task: str, system: str, *keys: str) -> dict:
        """What an evaluation depends on: the same for a base and for what was tuned from it.

        Prose is evaluated by two stages, which share a section of the settings and read each its
        own part of it.
        """
        _, quantization = self._selection.base_of(system)
        chosen = self.task(task, *keys, "evaluation")
        read = {k: v for k, v in chosen["evaluation"].items() if k not in NOT_READ.get(stage, ())}
        if "context" in read:
            # The window of the likelihood, whichever key it comes from.
            read["context"] = read["context"] or self._settings.tasks[task].max_length
        return chosen | {"evaluation": read, "quantization": quantization}

    def comparison(self, experiment: str, task: str) -> dict:
        """What a comparison depends on. family: how many main tests its table adjusts for, as the
        draws grow with it. `statistics.margins` is read by the report alone."""
        chosen = self._selection.experiment(experiment)
        statistics = self.section("statistics")
        return {
            "experiment": experiment,
            "model": chosen.model,
            "quantization": chosen.quantization,
            "seeds": self._settings.seeds,
            "outputs": self._selection.output_type(task),
            "unit": self._selection.task_kind(task).UNIT,
            "statistics": {key: statistics[key] for key in ("confidence", "resamples", "seed")},
            "family": len(self._selection.pairs(own=task == chosen.task)),
            "main_metric": self._settings.tasks[task].main_metric,
            **self.task(task, "labels", "metrics"),
        }

    def baselines(self, task: str) -> dict:
        """What the plain baselines of a task, and their scores, depend on."""
        keys = ("labels", "language", "metrics", "prompt", "chat", "evaluation")
        chosen = self.task(task, *keys)
        read = {k: v for k, v in chosen["evaluation"].items() if k not in OF_MODELS}
        return chosen | {"evaluation": read}

    def baseline_comparisons(self) -> list[dict]:
        """What the comparisons with plain baselines depend on, with their files: one for each
        experiment that has some, by the main metric of its task."""
        comparisons = []
        for name in self._selection.with_baselines:
            settings = self.comparison(name, self._selection.experiment(name).task)
            settings["metrics"] = [settings["main_metric"]]
            # Each is a test by itself, see `family.independent`.
            settings["family"] = 1
            comparisons.append({"settings": settings, **self._paths.against_baselines(name)})
        return comparisons

    # ------------------------------------------------------------ figures

    def differences(self, experiment: str) -> dict:
        """What a plot of the main metric, example by example, depends on."""
        task = self._selection.experiment(experiment).task
        name = self._settings.tasks[task].main_metric
        metric = metadata(self._selection.output_type(task), name)
        return {
            "metric": name,
            "title": metric.title,
            "higher_is_better": metric.higher_is_better,
            "unit": self._selection.task_kind(task).UNIT,
            "seeds": self._settings.seeds,
        }

    def confusion(self, experiment: str) -> dict:
        task = self._selection.experiment(experiment).task
        return self.task(task, "labels") | {"seeds": self._settings.seeds}

    def forest(self) -> dict:
        """What the plot of all differences depends on, its table apart."""
        metrics = {
            name: metadata(self._selection.output_type(task), name)
            for task in self._selection.tasks
            for name in self._settings.tasks[task].metrics
        }
        return {
            "titles": {name: metric.title for name, metric in metrics.items()},
            "higher_is_better": {name: m.higher_is_better for name, m in metrics.items()},
            "seeds": self._settings.seeds,
            "tests": len(self._selection.pairs(own=True)),
            "confidence": self.section("statistics")["confidence"],
        }

    # ------------------------------------------------------------ snakemake plan

    def plan(self) -> dict[str, Any]:
        """What `snakemake plan` estimates, and the files that it reads if they are there."""
        return {
            "experiments": [self._planned(name) for name in self._selection.experiments],
            "hardware": self.section("hardware"),
            "statistics": {
                "confidence": self.section("statistics")["confidence"],
                "family": len(self._selection.pairs(own=True)),
                "pilot": f"{RESULTS}/comparison.csv",
            },
            "presets": str(ROOT / "presets"),
        }

    def _planned(self, name: str) -> dict[str, Any]:
        chosen = self._plain["experiments"][name]
        task, model = chosen["task"], chosen["model"]
        dataset = self._settings.tasks[task].dataset
        return {
            "experiment": name,
            "model": {"name": model, **self._plain["models"][model]},
            "task": {"task": task, **self._plain["tasks"][task]},
            "dataset": self._plain["datasets"][dataset],
            "text": self._selection.is_text(dataset),
            "path": self._paths.source(dataset) or None,
            "seeds": len(self._settings.seeds),
            "unit": self._selection.task_kind(task).UNIT,
            **{key: chosen[key] for key in ("quantization", "lora", "training")},
            "files": {
                "model": f"{RESULTS}/models/{model}/model",
                "tokens": f"{RESULTS}/tokens/{task}/{model}/train.json",
                "split": f"{RESULTS}/tasks/{task}/manifest.json",
                "train": f"{RESULTS}/tasks/{task}/train.parquet",
                "records": self._paths.records(task),
            },
        }
