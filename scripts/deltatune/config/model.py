"""The sections of config.yaml as types: every key, its default, bounds and description.

A kind of task has its own section: `deltatune.tasks.<kind>.Settings`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import BaseModel, Field, field_validator, model_validator

from deltatune.compare.settings import Inference
from deltatune.core.schema import Name, RepoId, Revision, Section, Seed
from deltatune.core.text import did_you_mean
from deltatune.data.formats import SUFFIXES, TEXT_SUFFIXES
from deltatune.models import gpus
from deltatune.models.settings import Lora, Quantization
from deltatune.report.settings import Report
from deltatune.train.settings import Training

# ---------------------------------------------------------------- datasets


class Chunks(Section):
    max_words: int = Field(200, ge=8, le=100_000)
    """Maximum length of a chunk of plain text, in words; chunks end at a sentence boundary."""


class Dataset(Section):
    columns: dict[str, str | list[str]] = {}
    """Field of the task -> column of the file, or a list of columns to join with a space.
    Empty: every column under its own name."""
    chunks: Chunks = Chunks()
    """How plain text is chunked; other formats ignore it."""


class SampleDataset(Dataset):
    source: Literal["sample"]
    name: Literal["instructions", "prose", "news"]
    """One of the datasets in data/sample."""


class FileDataset(Dataset):
    source: Literal["file"]
    path: str = Field(min_length=1)
    """The file, relative to the working directory of snakemake."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None = None
    """Format of the file; default: that of its suffix."""


class HubDataset(Dataset):
    """A dataset of the Hugging Face Hub."""

    source: Literal["hub"]
    id: RepoId
    """Repository, such as tatsu-lab/alpaca."""
    config: str | None = None
    """Configuration (subset), if it has several."""
    split: str = Field("train", pattern=r"^\w+(\.\w+)*$")
    """The split to read; tasks make their own splits of it."""
    revision: Revision
    """Commit or tag, so that the run is reproducible."""


# Parameters of a URL that grant access: ?token=, ?X-Amz-Signature=, ?sig=, ?api_key=.
_SECRET = re.compile(
    r"token|secret|passw|pwd|signature|credential|api[-_.]?key|access[-_.]?key|^(sig|auth|key)$",
    re.IGNORECASE,
)


def _parameters(parts: SplitResult) -> list[str]:
    """Names of the parameters in the query and the fragment of a URL."""
    behind = [*parts.query.split("&"), *parts.fragment.split("&")]
    return [unquote(one.partition("=")[0]) for one in behind if "=" in one]


class UrlDataset(Dataset):
    """A file at a URL."""

    source: Literal["url"]
    url: str
    """http or https."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum of the file, verified after the download."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None = None
    """Format of the file; default: that of the suffix of the URL."""
    gutenberg: bool | Literal["auto"] = "auto"
    """Remove the header and footer of Project Gutenberg; auto: if the text has them."""

    @model_validator(mode="after")
    def _fetchable(self) -> UrlDataset:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise ValueError(f"url: not a valid URL: {error}") from None
        secret = "@" in parts.netloc or any(map(_SECRET.search, _parameters(parts)))
        if secret:
            raise ValueError(
                "url: a URL with a password, a token or a signature would be written to the "
                "manifest and the report; download the file by hand and use `source: file`"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: '{self.url}' must begin with https:// or http:// and a host")
        if self.format is None and self.suffix not in (*SUFFIXES, *TEXT_SUFFIXES):
            raise ValueError(
                f"format: this key is required, as '{self.url}' does not end in .csv, .json, .txt "
                "or another known suffix"
            )
        return self

    @property
    def suffix(self) -> str:
        return Path(urlsplit(self.url).path).suffix.lower()


AnyDataset = Annotated[
    SampleDataset | FileDataset | HubDataset | UrlDataset, Field(discriminator="source")
]

# ---------------------------------------------------------------- models


class Gptq(Section):
    """How GPTQ quantizes a model (Frantar et al. 2022): layer by layer, minimizing the error of the
    layer's output on calibration text."""

    calibration: str
    """Task whose packed training rows are the calibration data."""
    bits: Literal[2, 3, 4, 8] = 4
    """Bits per weight."""
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128
    """Weights of a row that share a scale, or -1 for the whole row; it must divide the input width
    of every layer."""
    samples: int = Field(128, ge=1, le=1_000_000)
    """Number of calibration rows, sampled at random."""
    seed: Seed = 0
    """Seed of the sampling."""


class Model(Section):
    gptq: Gptq | None = None
    """Required by experiments with `quantization: gptq`, ignored by others."""


class Architecture(Section):
    vocab_size: int = Field(1536, ge=300, le=65_536)
    """Vocabulary of the byte-level BPE tokenizer, including the 256 bytes and special tokens."""
    hidden_size: int = Field(256, ge=16, le=65_536)
    """Width of the residual stream."""
    intermediate_size: int = Field(704, ge=16, le=1_048_576)
    """Width of the gated feed-forward layer."""
    layers: int = Field(3, ge=1, le=1000)
    """Number of transformer blocks."""
    heads: int = Field(8, ge=1, le=1024)
    """Attention heads; hidden_size must be an even multiple of it."""
    kv_heads: int = Field(4, ge=1, le=1024)
    """Key and value heads (grouped-query attention); must divide heads."""
    context: int = Field(512, ge=32, le=1_048_576)
    """Maximum sequence length, in tokens."""

    @model_validator(mode="after")
    def _divides(self) -> Architecture:
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be an even multiple of heads ({self.heads})"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"kv_heads ({self.kv_heads}) must divide heads ({self.heads})")
        return self


class PretrainModel(Model):
    """A small Mistral, pre-trained here on the training text of some tasks."""

    source: Literal["pretrain"]
    corpus: list[str] = Field(min_length=1)
    """Tasks whose training splits are the corpus; validation and test splits are never used."""
    architecture: Architecture = Architecture()
    """Size of the model and its tokenizer."""
    steps: int = Field(440, ge=1, le=100_000_000)
    """Optimizer steps."""
    batch_tokens: int = Field(1024, ge=64, le=100_000_000)
    """Tokens per optimizer step."""
    sequence_length: int = Field(128, ge=16, le=1_048_576)
    """Tokens per training sequence."""
    learning_rate: float = Field(3e-3, gt=0)
    """Peak learning rate of the one-cycle schedule."""
    seed: Seed = 0
    """Seed of the initial weights and of the order of the text."""
    threads: int = Field(2, ge=1, le=256)
    """CPU threads; changes the result, because floating-point sums depend on their order."""


class LocalModel(Model):
    """A local folder in the Hugging Face format."""

    source: Literal["local"]
    path: str = Field(min_length=1)
    """The folder with config.json, the tokenizer and safetensors weights."""


class HubModel(Model):
    """A model of the Hugging Face Hub; safetensors weights only, no code from its repository."""

    source: Literal["hub"]
    id: RepoId
    """Repository, such as mistralai/Mistral-7B-v0.1."""
    revision: Revision
    """Commit or tag, so that the run is reproducible."""


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
    tasks: dict[Name, Any]
    """A dataset with a kind, a split, a prompt and metrics, by name."""
    experiments: dict[Name, Experiment] = Field(min_length=1)
    """One model tuned on one task, by name."""
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

    @property
    def chosen(self) -> dict[str, Experiment]:
        """The experiments to run, in the order of `run`."""
        names = self.experiments if self.run == "all" else dict.fromkeys(self.run)
        return {name: self.experiments[name] for name in names}


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that an annotation allows: itself, members of a union, values of a mapping."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for inner in get_args(annotation) for section in sections_in(inner)]
