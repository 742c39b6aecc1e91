"""The sections of config.yaml as types: every key, its default, bounds and description.

A kind of task has its own section: `deltatune.tasks.<kind>.Settings`.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, field_validator, model_validator

from deltatune.compare.settings import Inference
from deltatune.core.schema import HomePath, Name, Section, Seed
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data.chunk_settings import Chunks
from deltatune.data.mixture_settings import MixtureSource
from deltatune.evaluate.settings import Evaluation
from deltatune.fetch.dataset_settings import (
    Columns,
    FileSource,
    GivenSplits,
    HubSource,
    SampleSource,
    UrlSource,
    either,
)
from deltatune.fetch.model_settings import HubRepository, LocalFolder
from deltatune.models import gpus
from deltatune.models.gptq_settings import Quantizing
from deltatune.models.pretrain_settings import Pretraining
from deltatune.models.settings import Lora, Quantization
from deltatune.report.settings import Report
from deltatune.tasks.registry import any_task
from deltatune.train.settings import Training

# ---------------------------------------------------------------- datasets


class Dataset(Section):
    columns: Columns = {}
    """Field of the task -> column of the file, a list of columns to join with a space, a dotted
    path to a value inside a column, or a template such as "{title} ({year}): {body}". Empty: every
    column under its own name."""
    chunks: Chunks = Chunks()
    """How plain text is chunked; other formats ignore it."""


class SampleDataset(Dataset, SampleSource):
    name: Literal["instructions", "prose", "news"]
    """One of the datasets in data/sample."""


FilePaths = HomePath | Annotated[list[HomePath], Field(min_length=1)]


class FileSplits(GivenSplits):
    train: FilePaths
    """Files to train on."""
    validation: FilePaths | None = None
    """Files to validate on; null: cut from train, as the task's `split` says."""
    test: FilePaths | None = None
    """Files to test on; null: cut from train, as the task's `split` says."""


class FileDataset(Dataset, FileSource):
    path: either(FilePaths, FileSplits)
    """A file, a folder, a pattern such as data/*.csv, or a list of these, relative to the working
    directory of snakemake; files may be compressed (gz, bz2, xz, zst) or in a zip archive. Or
    `{train: ..., test: ...}` with `validation` or without, to take splits as they are; what is not
    named is cut from train."""

    @property
    def parts(self) -> dict[str, list[str]]:
        """Split -> paths, or all of them under "" where none is named."""
        parts = self.path.named if isinstance(self.path, FileSplits) else {"": self.path}
        return {name: [one] if isinstance(one, str) else one for name, one in parts.items()}


class HubDataset(Dataset, HubSource):
    """A dataset of the Hugging Face Hub."""


class UrlDataset(Dataset, UrlSource):
    """A file at a URL."""


class MixtureDataset(MixtureSource):
    """Records of other datasets, in given shares."""


AnyDataset = Annotated[
    SampleDataset | FileDataset | HubDataset | UrlDataset | MixtureDataset,
    Field(discriminator="source"),
]


def given_splits(dataset: AnyDataset) -> dict[str, Any]:
    """Split -> what it is, of those that a dataset names itself; {} where tasks divide it."""
    named = getattr(dataset, "path", getattr(dataset, "split", None))
    return named.named if isinstance(named, GivenSplits) else {}


# ---------------------------------------------------------------- models


class Gptq(Quantizing):
    """How GPTQ quantizes a model (Frantar et al. 2022): layer by layer, minimizing the error of the
    layer's output on calibration text."""

    calibration: str
    """Task whose packed training rows are the calibration data."""


class Model(Section):
    gptq: Gptq | None = None
    """Required by experiments with `quantization: gptq`, ignored by others."""


class PretrainModel(Model, Pretraining):
    """A small Mistral, pre-trained here on the training text of some tasks."""

    corpus: list[str] = Field(min_length=1)
    """Tasks whose training splits are the corpus; validation and test splits are never used."""


class LocalModel(Model, LocalFolder):
    """A local folder in the Hugging Face format."""


class HubModel(Model, HubRepository):
    """A model of the Hugging Face Hub; safetensors weights only, no code from its repository."""


AnyModel = Annotated[PretrainModel | LocalModel | HubModel, Field(discriminator="source")]

# ---------------------------------------------------------------- experiments


class PublishedFigure(Section):
    base: float | None = None
    """Before tuning, as published."""
    tuned: float | None = None
    """After tuning, as published."""
    scale: float = Field(1, gt=0)
    """Factor to the scale used here: 100 for a BLEU between 0 and 1."""


class Published(Section):
    """Published figures of the same recipe, shown in the report beside those of the run."""

    source: str = Field(min_length=1)
    """Source of the figures, in words."""
    metrics: dict[str, PublishedFigure] = {}
    """Metric -> its published figures."""
    differs: list[str] = []
    """Differences between their method and the one here, a sentence each."""


class Experiment(Section):
    model: str
    """Name of the base under models."""
    task: str
    """Name of the task under tasks."""
    cross_task: list[str] | None = None
    """Other tasks that base and tuned are evaluated on, to measure what the tuning costs there;
    null: as the key `cross_task` at the top says; []: none."""
    quantization: Quantization = "nf4"
    """Quantization of the base, in training and in evaluation: nf4 (4-bit, bitsandbytes), int8
    (LLM.int8, bitsandbytes), gptq (quantized once, with calibration text; needs
    requirements-gptq.txt and `gptq` of the model), none (compute precision)."""
    lora: Lora = Lora()
    """Settings of the adapter."""
    training: Training = Training()
    """Settings of the training."""
    chosen_on: Literal["validation", "test"] | None = None
    """The split by whose figures these settings were chosen, if they were. With test the report
    says that the result is optimistic; no result depends on it."""
    published: Published | None = None
    """Published figures to compare with; no result depends on them."""

    @model_validator(mode="after")
    def _can_be_sharded(self) -> Experiment:
        if self.training.sharded and self.quantization not in ("nf4", "none"):
            raise ValueError(
                f"training.sharded: a base in {self.quantization} cannot be sharded; "
                "write `quantization: nf4` or `none`"
            )
        if self.training.sharded and self.lora.use_dora:
            raise ValueError(
                "training.sharded: DoRA needs the full weights of the base on each GPU; "
                "write `use_dora: false`"
            )
        return self


class Statistics(Inference):
    margins: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Metric -> the largest difference from the base that counts as equivalent. Where the whole
    interval lies within it, the report says so; without a margin it says "not shown"."""


class Hardware(Section):
    gpu: str | None = None
    """Name of a GPU, such as T4 or A100-40GB; null: the one of this machine. Only `snakemake plan`
    uses it."""
    memory_gb: float | None = Field(None, gt=0, le=10_000)
    """Memory of the GPU in GB (10^9 bytes); null: the known size of that GPU."""
    trial: bool = False
    """Let `snakemake plan` train ten steps of each experiment on this machine, on a base of random
    weights, which are not downloaded, and say how long the training takes and how much memory."""

    @model_validator(mode="after")
    def _known(self) -> Hardware:
        if self.gpu and not self.memory_gb and gpus.find(self.gpu) is None:
            raise ValueError(
                f"gpu: unknown GPU '{self.gpu}'{did_you_mean(self.gpu, gpus.KNOWN)}; set memory_gb "
                f"as well, or use one of {', '.join(gpus.KNOWN)}"
            )
        return self


class Cluster(Section):
    """Set at the top of profiles/slurm/config.yaml."""

    partition: str | None = None
    """Partition for jobs without a GPU, or several as a,b; null: the cluster's default."""
    gpu_partition: str | None = None
    """Partition for jobs with a GPU; null: that of the others."""
    gpu_type: str | None = None
    """SLURM's name of the GPU type, such as a100; null: any."""
    max_minutes: int | None = Field(None, ge=1, le=525_600)
    """Time limit of the partitions; null: no limit. A resubmitted job requests more time, but never
    more than this."""

    @field_validator("*", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return None if value == "" else value

    @field_validator("partition", "gpu_partition", "gpu_type")
    @classmethod
    def _names(cls, value: str | None) -> str | None:
        names = re.split(r"[,\s]+", value.strip(", ")) if value else []
        for name in names:
            if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
                raise ValueError(f"'{name}' is not a valid name in SLURM")
        return ",".join(names) or None


# ---------------------------------------------------------------- the whole

AnyTask = any_task()


class Settings(Section):
    """All of config.yaml."""

    run: list[str] | Literal["all"] = "all"
    """Experiments to run and compare."""
    seeds: list[Seed] = Field([1], min_length=1)
    """Training seeds; tuned figures are means over them."""
    cross_task: Literal["auto", "all", "none"] = "auto"
    """Whether each experiment is evaluated on the tasks of the others too: all, none, or auto: all
    where the run has at most six experiments. Pairs that cannot be evaluated fairly are left out
    and named at the start."""
    datasets: dict[Name, AnyDataset]
    """Sources of raw records, by name."""
    models: dict[Name, AnyModel]
    """Untuned models, by name."""
    tasks: dict[Name, AnyTask]
    """A dataset with a kind, a split, a prompt and metrics, by name."""
    experiments: dict[Name, Experiment] = Field(min_length=1)
    """One model tuned on one task, by name."""
    prompts: list[str] = []
    """Texts of your own that each base and tuned system answers as a prompt of the experiment's
    task (an instruction, a text to classify, the beginning of a text, a question of a chat), side
    by side in the report; shown and not scored."""
    evaluation: Evaluation = Evaluation()
    """How systems are evaluated on all tasks."""
    statistics: Statistics = Statistics()
    """How base and tuned are compared."""
    report: Report = Report()
    """Contents of the report."""
    hardware: Hardware = Hardware()
    """The GPU that `snakemake plan` estimates for."""
    cache_gb: float = Field(20, ge=0, le=1_000_000)
    """Disk space (10^9 bytes) for results that are found again instead of computed again, see
    docs/reruns.md; the least recently used are deleted first. 0: nothing is kept or looked up."""
    cluster: Cluster = Cluster()
    """Partitions and limits for `--workflow-profile profiles/slurm`."""

    @field_validator("prompts")
    @classmethod
    def _are_distinct_texts(cls, prompts: list[str]) -> list[str]:
        for number, prompt in enumerate(prompts, start=1):
            if not prompt.strip():
                raise ValueError(f"number {number} has no text; write one, or remove it")
            if prompt in prompts[: number - 1]:
                raise ValueError(f"number {number} stands there twice: '{excerpt(prompt, 60)}'")
        return prompts

    @cached_property
    def chosen(self) -> dict[str, Experiment]:
        """The experiments to run, in the order of `run`."""
        names = self.experiments if self.run == "all" else dict.fromkeys(self.run)
        return {name: self.experiments[name] for name in names}


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows: itself, members of a union, values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in sections_in(inner)]
