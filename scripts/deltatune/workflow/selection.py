"""What is run: the chosen experiments, with their tasks, bases and tuned systems."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any

from deltatune.config import cross_task
from deltatune.config.datasets import is_text, with_parts
from deltatune.config.model import (
    Experiment,
    FileDataset,
    MixtureDataset,
    PretrainModel,
    Settings,
)
from deltatune.core.text import did_you_mean
from deltatune.evaluate.baselines.base import Baseline
from deltatune.evaluate.baselines.registry import BASELINES
from deltatune.tasks.base import TaskKind
from deltatune.tasks.registry import load_kind
from deltatune.workflow import user_files

#: The splits that a system can be evaluated on.
SPLITS = ("test", "validation")
#: The one that all is compared and reported on.
COMPARED = "test"
#: Outputs of a system -> the rule that makes them.
EVALUATED_BY = {"answers": "generate_answers", "text": "score_text", "labels": "score_labels"}

#: Names may hold dots and dashes, so wildcards are bounded by what config.yaml allows.
NAME = r"[A-Za-z0-9][A-Za-z0-9_.-]*"
SYSTEM = rf"base/{NAME}/[a-z0-9]+|tuned/{NAME}/seed-\d+"

Wildcards = Any
"""The wildcards of a job, each an attribute: dataset, task, model, experiment, system, seed, ..."""


class Selection:
    """The settings, reduced to what the chosen experiments need."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    # ------------------------------------------------------------ experiments and tasks

    @property
    def experiments(self) -> dict[str, Experiment]:
        return self.settings.chosen

    def experiment(self, name: str) -> Experiment:
        return self.settings.experiments[name]

    @property
    def tasks(self) -> list[str]:
        """Tasks of the chosen experiments, each once."""
        return list(dict.fromkeys(e.task for e in self.experiments.values()))

    @property
    def read_by(self) -> dict[tuple[str, str], list[str]]:
        """(task, model) -> the chosen experiments that train on these rows."""
        names: dict[tuple[str, str], list[str]] = {}
        for name, chosen in self.experiments.items():
            names.setdefault((chosen.task, chosen.model), []).append(name)
        return names

    @cached_property
    def cross_task(self) -> list[tuple[str, str]]:
        """(experiment, task) of all evaluations on tasks that an experiment was not tuned on."""
        return cross_task.pairs(self.settings)

    def pairs(self, own: bool) -> list[tuple[str, str]]:
        """(experiment, task) of all comparisons of a table: on the task that each experiment was
        tuned on, or on others. Their main metrics are a family of tests."""
        return self._own_task if own else self.cross_task

    @cached_property
    def _own_task(self) -> list[tuple[str, str]]:
        return [(name, e.task) for name, e in self.experiments.items()]

    @cached_property
    def all_tasks(self) -> list[str]:
        """Tasks that are evaluated, that a model is pretrained on, or that GPTQ calibrates with."""
        tasks = [task for own in (True, False) for _, task in self.pairs(own)]
        for experiment in self.experiments.values():
            model = self.settings.models[experiment.model]
            tasks += model.corpus if isinstance(model, PretrainModel) else []
            if experiment.quantization == "gptq":
                tasks.append(model.gptq.calibration)
        return list(dict.fromkeys(tasks))

    @property
    def datasets(self) -> list[str]:
        """The datasets of these tasks, each once, those of a mixture before it."""
        named = [self.settings.tasks[task].dataset for task in self.all_tasks]
        return list(dict.fromkeys(d for name in named for d in with_parts(self.settings, name)))

    def kind(self, task: str) -> str:
        return self.settings.tasks[task].kind

    def task_kind(self, task: str) -> TaskKind:
        return load_kind(self.kind(task))

    def output_type(self, task: str) -> str:
        """What a system gives on a task: answers, text or labels."""
        return self.task_kind(task).OUTPUTS

    def evaluations(self, task: str, own: bool) -> dict[str, str]:
        """Rule -> outputs of the evaluation of a system on a task. Prose is measured by its
        likelihood; an experiment that was tuned on it also continues it from fixed prompts."""
        outputs = self.output_type(task)
        names = [outputs, "answers"] if outputs == "text" and own else [outputs]
        return {EVALUATED_BY[name]: name for name in names}

    def of_outputs(self, output_type: str) -> list[str]:
        """Chosen experiments whose own task yields answers, text or labels."""
        return [n for n, e in self.experiments.items() if self.output_type(e.task) == output_type]

    def baselines(self, task: str) -> dict[str, Baseline]:
        """The plain baselines of a task, by name."""
        return BASELINES[self.output_type(task)]

    @property
    def with_baselines(self) -> list[str]:
        """Chosen experiments whose own task has plain baselines."""
        return [name for name, e in self.experiments.items() if self.baselines(e.task)]

    # ------------------------------------------------------------ systems

    def base(self, experiment: str) -> str:
        """The base system of an experiment."""
        chosen = self.experiment(experiment)
        return f"base/{chosen.model}/{chosen.quantization}"

    def tuned(self, experiment: str) -> list[str]:
        """The tuned systems of an experiment, one for each seed."""
        return [f"tuned/{experiment}/seed-{seed}" for seed in self.settings.seeds]

    def under(self, system: str) -> tuple[str, str]:
        """Model and quantization under a system."""
        kind, name, rest = system.split("/")
        if kind == "base":
            return name, rest
        experiment = self.experiment(name)
        return experiment.model, experiment.quantization

    # ------------------------------------------------------------ what a job is about

    def task_of(self, wildcards: Wildcards) -> str:
        """The task of a job, or that of its experiment."""
        if hasattr(wildcards, "task"):
            return wildcards.task
        return self.experiment(wildcards.experiment).task

    def base_of(self, wildcards: Wildcards) -> tuple[str, str]:
        """Model and quantization of the base under the system, or the experiment, of a job."""
        if hasattr(wildcards, "system"):
            return self.under(wildcards.system)
        chosen = self.experiment(wildcards.experiment)
        return chosen.model, chosen.quantization

    def model_of(self, wildcards: Wildcards) -> str:
        """The model that a job loads."""
        return wildcards.model if hasattr(wildcards, "model") else self.base_of(wildcards)[0]

    def unknown(self, wildcards: Wildcards) -> str | None:
        """What config.yaml would have to have for a job to be possible, with what was probably
        meant; None where it has all that the job is about."""
        asked = {
            f"{section}s": getattr(wildcards, section)
            for section in ("dataset", "task", "model", "experiment")
            if hasattr(wildcards, section)
        }
        if hasattr(wildcards, "system"):
            kind, name, _ = wildcards.system.split("/")
            asked["models" if kind == "base" else "experiments"] = name
        for section, name in asked.items():
            known = getattr(self.settings, section)
            if name not in known:
                return f"{section}.{name} in config.yaml{did_you_mean(name, known)}"
        return None

    # ------------------------------------------------------------ models and datasets

    def is_pretrained_here(self, model: str) -> bool:
        return isinstance(self.settings.models[model], PretrainModel)

    def models_from(self, *sources: str) -> str:
        """A wildcard constraint: the models of these sources, or nothing at all."""
        names = [n for n, m in self.settings.models.items() if m.source in sources]
        return "|".join(map(re.escape, names)) or "(?!)"

    def is_text(self, dataset: str) -> bool:
        """Whether a dataset is one plain text, which has to be chunked."""

        def files(chosen: FileDataset) -> list[str]:
            return [f for paths in chosen.parts.values() for f in user_files.listed(*paths)]

        return is_text(self.settings.datasets[dataset], files)

    def is_mixture(self, dataset: str) -> bool:
        return isinstance(self.settings.datasets[dataset], MixtureDataset)

    def datasets_from(self, is_mixture: bool) -> str:
        """A wildcard constraint: the mixtures, or all others; or nothing at all."""
        names = [name for name in self.settings.datasets if self.is_mixture(name) == is_mixture]
        return "|".join(map(re.escape, names)) or "(?!)"
