"""What each job needs of a machine: memory, minutes, GPUs, partition, conda environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deltatune.core.paths import RESULTS
from deltatune.workflow.selection import Selection, Wildcards

#: Weights of Mistral-7B in 16 bits, in 10^9 bytes.
SEVEN_BILLION = 14.5


Needs = dict[str, Callable[..., Any] | int]
"""The `resources` of a rule: name -> number, or function of its wildcards and of how often it was
tried."""


class Resources:
    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._cluster = selection.settings.cluster
        self._cache_gb = selection.settings.cache_gb

    # ------------------------------------------------------------ what the rules ask

    def growing(self, mem_mb: int, minutes: int) -> Needs:
        """A job that loads no model: more each time that it is tried again."""
        return {
            "mem_mb": lambda wildcards, attempt: mem_mb * attempt,
            "runtime": lambda wildcards, attempt: self.minutes(minutes, attempt),
        }

    def with_model(self, minutes: int, whole: bool = False) -> Needs:
        """A job that loads the model of its wildcards. minutes, whole: see the methods below."""
        model_of = self._selection.model_of
        return {
            "mem_mb": lambda wildcards, attempt: self.memory(model_of(wildcards), attempt, whole),
            "runtime": lambda wildcards, attempt: self.minutes(
                minutes, attempt, model_of(wildcards)
            ),
            "gpu": lambda wildcards: self.needs_gpu(model_of(wildcards)),
            "gpu_model": lambda wildcards: self.gpu_type(model_of(wildcards)),
            "slurm_partition": lambda wildcards: self.partition(model_of(wildcards)),
        }

    def for_evaluation(self) -> Needs:
        """A job that evaluates a system, whose outputs are kept to be found again."""
        return self.with_model(minutes=240) | {"cache_mb": self.cache_mb}

    def for_training(self, minutes: int) -> Needs:
        """The same of a training job, whose GPUs are all on one machine."""
        return self.with_model(minutes) | {
            "mem_mb": lambda wildcards, attempt: self.train_memory(wildcards.experiment, attempt),
            "gpu": lambda wildcards: self.train_gpus(wildcards.experiment),
        }

    def gpu_jobs(self, limits: Mapping[str, Any]) -> int | None:
        """How many GPUs may be used at a time, by `--resources gpu=N`; None for one, and where a
        cluster counts them. limits: `workflow.global_resources`, numbers or what has one."""
        limit = limits.get("gpu")
        number = getattr(limit, "value", limit)
        return number if isinstance(number, int) and number > 1 else None

    @property
    def cache_mb(self) -> int:
        """MB of disk space for finished work; no param, since no result depends on it."""
        return math.ceil(self._cache_gb * 1000)

    def pretrain_threads(self, wildcards: Wildcards) -> int:
        return self._selection.settings.models[wildcards.model].threads

    def train_threads(self, wildcards: Wildcards) -> int:
        """CPU cores of a training job: one process for each GPU, or on the CPU in place of one."""
        training = self._selection.experiment(wildcards.experiment).training
        return training.threads * training.gpus

    def environment(self, usual: str) -> str | Callable[[Wildcards], str]:
        """The conda environment of a stage that loads a base, as a path from rules/: a function
        only where some experiment is of GPTQ, which `snakemake --containerize` cannot always take.
        """
        usual_file = f"../envs/{usual}.yaml"
        if all(e.quantization != "gptq" for e in self._selection.settings.experiments.values()):
            return usual_file

        def path(wildcards: Wildcards) -> str:
            _, quantization = self._selection.base_of(wildcards)
            return "../envs/gptq.yaml" if quantization == "gptq" else usual_file

        return path

    # ------------------------------------------------------------ what a model needs

    def memory(self, model: str, attempt: int = 1, whole: bool = False) -> int:
        """MB of main memory for a job that loads a model; more each time that it is tried again.

        A real model goes to the GPU file by file, beside CUDA's own libraries. whole: all of it
        stands in main memory in 16 bits, and once more while it is written.
        """
        if self._selection.is_pretrained_here(model):
            return 3000 * attempt
        size = self._gigabytes(model) * 1000
        return (8000 + round(2.2 * size if whole else min(size, 8000))) * attempt

    def minutes(self, usual: int, attempt: int = 1, model: str | None = None) -> int:
        """Time limit of a job in minutes, longer each time that it is tried again.

        usual: for a model of seven billion parameters, or for a job that loads none. A larger one
        takes longer in proportion, one that was built here a twelfth.
        """
        minutes = usual * attempt
        if model is not None:
            tiny = self._selection.is_pretrained_here(model)
            minutes *= 1 / 12 if tiny else max(1.0, self._gigabytes(model) / SEVEN_BILLION)
        return min(math.ceil(minutes), self._cluster.max_minutes or math.ceil(minutes))

    def needs_gpu(self, model: str) -> int:
        """A model of a few million parameters is as fast on the CPU; a real one needs a GPU."""
        return 0 if self._selection.is_pretrained_here(model) else 1

    def train_gpus(self, experiment: str) -> int:
        """GPUs of a training job: all of `training.gpus` are on one machine."""
        chosen = self._selection.experiment(experiment)
        return self.needs_gpu(chosen.model) * chosen.training.gpus

    def train_memory(self, experiment: str, attempt: int = 1) -> int:
        """MB of main memory of a training job: each process loads the base."""
        chosen = self._selection.experiment(experiment)
        each = self.memory(chosen.model, attempt)
        if chosen.training.sharded and not self._selection.is_pretrained_here(chosen.model):
            # Main memory holds it before it is sharded; in four bits, a quarter of its size.
            size = self._gigabytes(chosen.model) * 1000
            each += round(size / 4 if chosen.quantization == "nf4" else size) * attempt
        return each * chosen.training.gpus

    def gpu_type(self, model: str) -> str | None:
        """Which GPU a cluster is asked for; none where a job needs none, or where any will do."""
        return self._cluster.gpu_type if self.needs_gpu(model) else None

    def partition(self, model: str) -> str | None:
        """The partition of a cluster for a job that loads a model; none for the cluster's own."""
        return (self.needs_gpu(model) and self._cluster.gpu_partition) or self._cluster.partition

    def _gigabytes(self, model: str) -> float:
        """Size of a real model in 16 bits (10^9 bytes); that of Mistral-7B until it is fetched."""
        folder = Path(f"{RESULTS}/models/{model}/model")
        weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        return weights / 1e9 if weights else SEVEN_BILLION
