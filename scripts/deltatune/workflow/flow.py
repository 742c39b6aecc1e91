"""What each rule reads and which settings it depends on.

The rules ask here instead of reaching into the config, so that a stage's parameters hold exactly
what changes its result. Paths are relative to the folder that snakemake runs in.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deltatune.config.load import load_settings
from deltatune.config.model import (
    Experiment,
    FileDataset,
    HubDataset,
    HubModel,
    LocalModel,
    PretrainModel,
    SampleDataset,
    UrlDataset,
)
from deltatune.core.paths import RESULTS, ROOT, SCRIPTS
from deltatune.data.formats import TEXT_SUFFIXES
from deltatune.fetch import model as model_files
from deltatune.tasks.registry import load_kind
from deltatune.workflow import digest, user_files

SAMPLES = {"instructions": "instructions.json", "prose": "prose.txt", "news": "news.csv"}
SPLITS = ("train", "validation", "test")

#: Stage -> the keys of a task's `evaluation` that it does not read.
NOT_READ = {"generate_answers": ("context",), "score_text": ("continuations", "max_new_tokens")}

#: Weights of Mistral-7B in 16 bits, in 10^9 bytes.
SEVEN_BILLION = 14.5

#: Names may hold dots and dashes, so wildcards are bounded by what config.yaml allows.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
SYSTEM = rf"base/{NAME}/[a-z0-9]+|tuned/{NAME}/seed-\d+"


class Flow:
    """The settings, seen from the rules. `w` is always the rule's wildcards."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.settings = load_settings(config)
        self._version = self.settings.model_dump(mode="json")

    # ------------------------------------------------------------ what is run

    @property
    def experiments(self) -> dict[str, Experiment]:
        return self.settings.chosen

    @property
    def tasks(self) -> list[str]:
        """Tasks of the chosen experiments, each once."""
        return list(dict.fromkeys(e.task for e in self.experiments.values()))

    def of_outputs(self, outputs: str) -> list[str]:
        """Chosen experiments whose own task yields answers, text or labels."""
        return [n for n, e in self.experiments.items() if self._outputs(e.task) == outputs]

    def experiment(self, name: str) -> Experiment:
        return self.settings.experiments[name]

    def kind(self, task: str) -> str:
        return self.settings.tasks[task].kind

    def _outputs(self, task: str) -> str:
        return load_kind(self.kind(task)).OUTPUTS

    # ------------------------------------------------------------ params

    def code(self, script: str, *plugins: str) -> str:
        """The fingerprint of a script and of all it imports, see `digest`."""
        return digest.code_digest(SCRIPTS / f"{script}.py", plugins)

    def kind_code(self, script: str, task: str) -> str:
        return self.code(script, f"deltatune.tasks.{self.kind(task)}")

    def metrics_code(self, script: str, task: str) -> str:
        found = self.settings.tasks[task].metrics
        outputs = self._outputs(task)
        return self.code(script, *(f"deltatune.metrics.{outputs}.{name}" for name in found))

    def dataset(self, name: str) -> dict:
        """What fetch_dataset depends on, the file's content apart."""
        chosen = self._version["datasets"][name]
        # A file's content is an input; what is fetched is known by these settings alone.
        apart = ("chunks", "path", "name")
        fields = {key: value for key, value in chosen.items() if key not in apart}
        # The order of the columns says nothing.
        fields["columns"] = dict(sorted(fields["columns"].items()))
        return {"dataset": name, "text": self.is_text(name), "format": None, **fields}

    def raw_task(self, name: str, *keys: str) -> dict:
        """The named keys of a task, where its kind has them, as config.yaml has them."""
        task = self._version["tasks"][name]
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

    def model(self, name: str) -> dict:
        """What making a model depends on, the kinds of its corpus's tasks included."""
        chosen = {"model": name, **self._version["models"][name]}
        # What is done with it once it is there.
        del chosen["gptq"]
        if self.is_pretrained_here(name):
            chosen["corpus"] = {task: self.kind(task) for task in chosen["corpus"]}
        return chosen

    def model_code(self, script: str, name: str) -> str:
        kinds = dict.fromkeys(self.model(name).get("corpus", {}).values())
        return self.code(script, *(f"deltatune.tasks.{kind}" for kind in kinds))

    def training(self, experiment: str, seed: str) -> dict:
        chosen = self._version["experiments"][experiment]
        keys = ("model", "quantization", "lora", "training")
        base = self.base_name(chosen["model"])
        return {key: chosen[key] for key in keys} | {"seed": int(seed), "base": base}

    def base_name(self, model: str) -> dict[str, str | None]:
        """What an adapter calls its base: {"name": id or folder, "revision"}."""
        chosen = self.settings.models[model]
        if isinstance(chosen, HubModel):
            return {"name": chosen.id, "revision": chosen.revision}
        return {"name": f"{RESULTS}/models/{model}/model", "revision": None}

    def gptq(self, model: str) -> dict:
        """What quantizing a model depends on, its weights and the calibration text apart."""
        chosen = self._version["models"][model]["gptq"]
        return {"model": model} | {key: chosen[key] for key in chosen if key != "calibration"}

    def evaluation(self, stage: str, task: str, system: str, *keys: str) -> dict:
        """What an evaluation depends on: the same for a base and for what was tuned from it.

        Prose is evaluated by two stages, which share a section of the settings and read each its
        own part of it.
        """
        _, quantization = self.base_of(system)
        chosen = self.task(task, *keys, "evaluation")
        read = {k: v for k, v in chosen["evaluation"].items() if k not in NOT_READ.get(stage, ())}
        if "context" in read:
            # The window of the likelihood, whichever key it comes from.
            read["context"] = read["context"] or self.settings.tasks[task].max_length
        return chosen | {"evaluation": read, "quantization": quantization}

    def comparison(self, experiment: str, task: str) -> dict:
        model, quantization = self.base_of(self.base(experiment))
        return {
            "experiment": experiment,
            "model": model,
            "quantization": quantization,
            "seeds": self.settings.seeds,
            "outputs": self._outputs(task),
            "statistics": self.section("statistics"),
            **self.task(task, "labels", "metrics"),
        }

    def main_metric(self, experiment: str) -> dict:
        task = self.settings.tasks[self.experiment(experiment).task]
        outputs = self._outputs(self.experiment(experiment).task)
        unit = "windows" if outputs == "text" else "examples"
        return {"metric": task.main_metric, "unit": unit}

    def section(self, name: str) -> dict:
        return self._version[name]

    # ------------------------------------------------------------ inputs

    def source(self, dataset: str) -> str | list[str]:
        """The file that a dataset comes from; none where it is fetched."""
        chosen = self.settings.datasets[dataset]
        if isinstance(chosen, HubDataset | UrlDataset):
            return []
        if isinstance(chosen, SampleDataset):
            path = ROOT / "data" / "sample" / SAMPLES[chosen.name]
            return (
                str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
            )
        return chosen.path

    def model_source(self, model: str) -> list[str]:
        """The files that a local model comes from; none for one that is fetched or made here."""
        chosen = self.settings.models[model]
        if not isinstance(chosen, LocalModel) or not Path(chosen.path).is_dir():
            return []
        names = sorted(file.name for file in Path(chosen.path).iterdir())
        return [f"{chosen.path}/{name}" for name in model_files.taken(names)]

    def content(self, paths: str | list[str]) -> dict[str, str]:
        """What files that no rule makes hold, by their names; a param, see `contents`."""
        paths = [paths] if isinstance(paths, str) else paths
        return {Path(path).name: user_files.fingerprint(path) for path in paths}

    def is_text(self, dataset: str) -> bool:
        """Whether a dataset is one plain text, which has to be chunked."""
        chosen = self.settings.datasets[dataset]
        if isinstance(chosen, HubDataset):
            return False
        if isinstance(chosen, FileDataset | UrlDataset) and chosen.format:
            return chosen.format == "txt"
        if isinstance(chosen, UrlDataset):
            return chosen.suffix in TEXT_SUFFIXES
        return Path(self.source(dataset)).suffix.lower() in TEXT_SUFFIXES

    def records(self, task: str) -> str:
        """The records that a task splits: the dataset's own, or its chunks."""
        name = self.settings.tasks[task].dataset
        file = f"{name}_chunks.csv" if self.is_text(name) else "records.parquet"
        return f"{RESULTS}/datasets/{name}/{file}"

    def corpus(self, model: str) -> list[str]:
        tasks_ = self.settings.models[model].corpus
        return [f"{RESULTS}/tasks/{task}/train.parquet" for task in tasks_]

    def is_pretrained_here(self, model: str) -> bool:
        return isinstance(self.settings.models[model], PretrainModel)

    def models_from(self, *sources: str) -> str:
        """A wildcard constraint: the models of these sources, or nothing at all."""
        names = [n for n, m in self.settings.models.items() if m.source in sources]
        return "|".join(map(re.escape, names)) or "(?!)"

    def base_of(self, system: str) -> tuple[str, str]:
        """Model and quantization under a system."""
        kind, name, rest = system.split("/")
        if kind == "base":
            return name, rest
        experiment = self.experiment(name)
        return experiment.model, experiment.quantization

    def system(self, system: str) -> dict[str, str]:
        """The hash files of the weights that a system is made of."""
        files = {"weights": self.weights(*self.base_of(system))}
        kind, name, rest = system.split("/")
        if kind == "tuned":
            files["adapter"] = f"{RESULTS}/experiments/{name}/{rest}/adapter.sha256"
        return files

    def model_folder(self, system: str) -> str:
        return f"{self.held(*self.base_of(system))}/model"

    def held(self, model: str, quantization: str) -> str:
        """The folder of a model as it is loaded: what bitsandbytes quantizes, it quantizes then;
        GPTQ has done it before."""
        gptq = self.settings.models[model].gptq
        calibrated = f"/gptq-{gptq.calibration}" if quantization == "gptq" else ""
        return f"{RESULTS}/models/{model}{calibrated}"

    def weights(self, model: str, quantization: str) -> str:
        """The hash file of the weights that are loaded."""
        return f"{self.held(model, quantization)}/weights.sha256"

    def environment(self, usual: str, quantization: str) -> str:
        """The conda environment of a stage that loads a model, as a path from rules/."""
        return f"../envs/{'gptq' if quantization == 'gptq' else usual}.yaml"

    def tokens(self, experiment: str, split: str) -> str:
        """The hash file of the packed rows that an experiment reads."""
        chosen = self.experiment(experiment)
        return f"{RESULTS}/tokens/{chosen.task}/{chosen.model}/{split}.sha256"

    def outputs(self, task: str, system: str) -> str:
        """The file that the metrics of a task judge."""
        return f"{RESULTS}/evaluations/{task}/{system}/{self._outputs(task)}.parquet"

    # ------------------------------------------------------------ systems and their results

    def base(self, experiment: str) -> str:
        chosen = self.experiment(experiment)
        return f"base/{chosen.model}/{chosen.quantization}"

    def tuned(self, experiment: str) -> list[str]:
        return [f"tuned/{experiment}/seed-{seed}" for seed in self.settings.seeds]

    def evaluated(self, experiment: str, file: str, task: str | None = None) -> dict[str, Any]:
        """{"base": path, "tuned": [paths]} of one file of the evaluations of an experiment."""
        task = task or self.experiment(experiment).task
        folder = f"{RESULTS}/evaluations/{task}"
        return {
            "base": f"{folder}/{self.base(experiment)}/{file}",
            "tuned": [f"{folder}/{system}/{file}" for system in self.tuned(experiment)],
        }

    def comparisons(self, table: str) -> list[str]:
        """The comparisons of a table: `comparison`, each experiment on its own task, or
        `cross_task`, on the other tasks that it names."""
        if table == "comparison":
            pairs = [(name, e.task) for name, e in self.experiments.items()]
        else:
            pairs = self._cross_task()
        return [f"{RESULTS}/comparisons/{name}/{task}.csv" for name, task in pairs]

    def tables(self) -> list[str]:
        """The tables of this run; cross_task only if an experiment asks for it."""
        names = ["comparison", *(["cross_task"] if self._cross_task() else [])]
        return [f"{RESULTS}/{name}.csv" for name in names]

    def _cross_task(self) -> list[tuple[str, str]]:
        return [(name, task) for name, e in self.experiments.items() for task in e.cross_task]

    def runs(self, experiment: str, file: str) -> list[str]:
        """One file of each training run of an experiment."""
        return [
            f"{RESULTS}/experiments/{experiment}/seed-{seed}/{file}" for seed in self.settings.seeds
        ]

    # ------------------------------------------------------------ merging

    def merging(self, experiment: str) -> dict:
        """What a merged model and the text that it is checked on depend on, the weights apart."""
        chosen = self.experiment(experiment)
        keys = ("labels", "prompt", "chat", "max_length")
        return self.task(chosen.task, *keys) | {"quantization": chosen.quantization}

    def merge_inputs(self, experiment: str, seed: str) -> dict[str, str]:
        """Hash files and test text; nothing for GPTQ, which is refused (see `merge.check`)."""
        chosen = self.experiment(experiment)
        if chosen.quantization == "gptq":
            return {}
        test = f"{RESULTS}/tasks/{chosen.task}/test.parquet"
        return {**self.system(f"tuned/{experiment}/seed-{seed}"), "test": test}

    def merge_model(self, experiment: str) -> str | list[str]:
        if self.experiment(experiment).quantization == "gptq":
            return []
        return self.model_folder(self.base(experiment))

    # ------------------------------------------------------------ the report

    def report_plan(self) -> dict[str, Any]:
        """Experiments, tasks, models and jobs of the report, with the files that tell of them."""
        experiments = {name: self._report_experiment(name) for name in self.experiments}
        models = {
            e.model: f"{RESULTS}/models/{e.model}/manifest.json" for e in self.experiments.values()
        }
        jobs = {
            "pretrain_model": {m: p for m, p in models.items() if self.is_pretrained_here(m)},
            "quantize_model": {
                e.model: f"{self.held(e.model, 'gptq')}/manifest.json"
                for e in self.experiments.values()
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
            "tasks": {task: {"files": self._task_files(task)} for task in self.tasks},
            "cross_task": [
                {
                    "comparison": f"{RESULTS}/comparisons/{name}/{task}.csv",
                    "metrics": self.evaluated(name, "metrics.json", task)["base"],
                }
                for name, task in self._cross_task()
            ],
            "models": models,
            "jobs": {stage: found for stage, found in jobs.items() if found},
        }

    def report_files(self) -> list[str]:
        """All files of the plan, each once."""

        def paths(node: Any) -> list[str]:
            if isinstance(node, Mapping):
                return [path for value in node.values() for path in paths(value)]
            return (
                [path for value in node for path in paths(value)]
                if isinstance(node, list)
                else [node]
            )

        plan = self.report_plan()
        files = [
            *(e["files"] for e in plan["experiments"].values()),
            *(t["files"] for t in plan["tasks"].values()),
            plan["cross_task"],
            plan["models"],
            plan["jobs"],
        ]
        return list(dict.fromkeys(paths(files)))

    def _report_experiment(self, name: str) -> dict[str, Any]:
        e = self.experiment(name)
        outputs = self._outputs(e.task)
        files = {
            "comparison": f"{RESULTS}/comparisons/{name}/{e.task}.csv",
            "metrics": self.evaluated(name, "metrics.json"),
            "losses": self.runs(name, "loss.csv"),
            "runs": self.runs(name, "manifest.json"),
            "scores": self.evaluated(name, "scores.parquet"),
        }
        # Prose is judged by its likelihood, and continued from fixed prompts beside that.
        for kind in {outputs, "answers"} if outputs == "text" else {outputs}:
            files[kind] = self.evaluated(name, f"{kind}.parquet")
        task = self.task(e.task, "labels")
        return {
            "task": e.task,
            "kind": self.kind(e.task),
            "model": e.model,
            "quantization": e.quantization,
            "main_metric": self.settings.tasks[e.task].main_metric,
            "built_here": self.is_pretrained_here(e.model),
            "settings": {"lora": e.lora.model_dump(), "training": e.training.model_dump()},
            "seeds": self.settings.seeds,
            "published": e.published.model_dump() if e.published else None,
            **({"labels": task["labels"]} if "labels" in task else {}),
            "files": dict(sorted(files.items())),
        }

    def _evaluation_jobs(self, experiment: str) -> list[tuple[str, str]]:
        file = f"{self._outputs(self.experiment(experiment).task)}.json"
        paths = self.evaluated(experiment, file)
        seeds = [f"seed {seed}" for seed in self.settings.seeds]
        return [("base", paths["base"]), *zip(seeds, paths["tuned"], strict=True)]

    def _task_files(self, task: str) -> dict[str, Any]:
        models = [e.model for e in self.experiments.values() if e.task == task]
        tokens = f"{RESULTS}/tokens/{task}/{models[0]}"
        files = {
            "dataset": f"{RESULTS}/datasets/{self.settings.tasks[task].dataset}/manifest.json",
            "split": f"{RESULTS}/tasks/{task}/manifest.json",
            "tokens": {split: f"{tokens}/{split}.json" for split in ("train", "validation")},
        }
        if self._outputs(task) == "labels":
            files["baseline"] = f"{RESULTS}/tasks/{task}/baseline.json"
        return files

    # ------------------------------------------------------------ the plan

    def plan(self) -> dict[str, Any]:
        """What `snakemake plan` tells of, and the files that it reads if they are there."""
        return {
            "experiments": [self._plan_of(name) for name in self.experiments],
            "hardware": self.section("hardware"),
            "presets": str(ROOT / "presets"),
        }

    def _plan_of(self, name: str) -> dict[str, Any]:
        chosen = self._version["experiments"][name]
        task, model = chosen["task"], chosen["model"]
        dataset = self.settings.tasks[task].dataset
        return {
            "experiment": name,
            "model": {"name": model, **self._version["models"][model]},
            "task": {"task": task, **self._version["tasks"][task]},
            "dataset": self._version["datasets"][dataset],
            "text": self.is_text(dataset),
            "path": self.source(dataset) or None,
            "seeds": len(self.settings.seeds),
            **{key: chosen[key] for key in ("quantization", "lora", "training")},
            "files": {
                "model": f"{RESULTS}/models/{model}/model",
                "tokens": f"{RESULTS}/tokens/{task}/{model}/train.json",
                "split": f"{RESULTS}/tasks/{task}/manifest.json",
                "train": f"{RESULTS}/tasks/{task}/train.parquet",
                "records": self.records(task),
            },
        }

    # ------------------------------------------------------------ resources

    def memory(self, model: str, attempt: int = 1, whole: bool = False) -> int:
        """MB of main memory for a job that loads a model; more each time that it is tried again.

        A real model goes to the GPU file by file, beside CUDA's own libraries. whole: all of it
        stands in main memory in 16 bits, and once more while it is written.
        """
        if self.is_pretrained_here(model):
            return 3000 * attempt
        size = self._gigabytes(model) * 1000
        return (8000 + round(2.2 * size if whole else min(size, 8000))) * attempt

    def minutes(self, usual: int, attempt: int = 1, model: str | None = None) -> int:
        """Time limit of a job in minutes, longer each time that it is tried again.

        usual: for a model of seven thousand million parameters, or for a job that loads none.
        A larger one takes longer in proportion, one that was built here a twelfth.
        """
        minutes = usual * attempt
        if model is not None:
            tiny = self.is_pretrained_here(model)
            minutes *= 1 / 12 if tiny else max(1.0, self._gigabytes(model) / SEVEN_BILLION)
        return min(math.ceil(minutes), self.settings.cluster.max_minutes or math.ceil(minutes))

    def _gigabytes(self, model: str) -> float:
        """Size of a real model in 16 bits (10^9 bytes); that of Mistral-7B until it is fetched."""
        folder = Path(f"{RESULTS}/models/{model}/model")
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return weights / 1e9 if weights else SEVEN_BILLION

    def needs_gpu(self, model: str) -> int:
        """A model of a few million parameters is as fast on the CPU; a real one needs a GPU."""
        return 0 if self.is_pretrained_here(model) else 1

    def train_gpus(self, experiment: str) -> int:
        """GPUs of a training job: all of `training.gpus` are on one machine."""
        chosen = self.experiment(experiment)
        return self.needs_gpu(chosen.model) * chosen.training.gpus

    def train_memory(self, experiment: str, attempt: int = 1) -> int:
        """MB of main memory of a training job: each process loads the base."""
        chosen = self.experiment(experiment)
        each = self.memory(chosen.model, attempt)
        if chosen.training.sharded and not self.is_pretrained_here(chosen.model):
            # Main memory holds it before it is shared out; in four bits, a quarter of its size.
            size = self._gigabytes(chosen.model) * 1000
            each += round(size / 4 if chosen.quantization == "nf4" else size) * attempt
        return each * chosen.training.gpus

    def train_threads(self, experiment: str) -> int:
        """CPU cores of a training job: one process for each GPU, or on the CPU in place of one."""
        training = self.experiment(experiment).training
        return training.threads * training.gpus

    def gpu_type(self, model: str) -> str | None:
        """Which GPU a cluster is asked for; none where a job needs none, or where any will do."""
        return self.settings.cluster.gpu_type if self.needs_gpu(model) else None

    def partition(self, model: str) -> str | None:
        """The partition of a cluster for a job that loads a model; none for the cluster's own."""
        cluster = self.settings.cluster
        return (self.needs_gpu(model) and cluster.gpu_partition) or cluster.partition
