"""The sections of config.yaml as types: every key, its default, its bounds and what it is.

A kind of task brings its own section: `deltatune.tasks.<kind>.Settings`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field, field_validator, model_validator

from deltatune.config.optimizers import OPTIMIZERS
from deltatune.core.schema import Name, RepoId, Revision, Section, Seed, Share
from deltatune.core.text import did_you_mean
from deltatune.data.formats import SUFFIXES, TEXT_SUFFIXES
from deltatune.models import gpus

# ---------------------------------------------------------------- datasets


class Chunks(Section):
    max_words: int = Field(200, ge=8, le=100_000)
    """Longest chunk of a plain text, in words; chunks end with a sentence."""


class Dataset(Section):
    columns: dict[str, str | list[str]] = {}
    """Field of the task -> column of the file, or several columns to join with a space.
    Empty: every column under its own name."""
    chunks: Chunks = Chunks()
    """How a plain text is cut; other formats ignore it."""


class SampleDataset(Dataset):
    source: Literal["sample"]
    name: Literal["instructions", "prose", "news"]
    """Which of the sets in data/sample."""


class FileDataset(Dataset):
    source: Literal["file"]
    path: str = Field(min_length=1)
    """The file, relative to the folder that snakemake is run in."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None = None
    """Only needed where the file's suffix does not say it."""


class HubDataset(Dataset):
    """A dataset of the Hugging Face Hub."""

    source: Literal["hub"]
    id: RepoId
    """Its name there, such as tatsu-lab/alpaca."""
    config: str | None = None
    """One of its configurations, where it has several."""
    split: str = Field("train", pattern=r"^\w+(\.\w+)*$")
    """Which of its splits is read; the tasks split it anew."""
    revision: Revision
    """The commit or tag that is read, so that a run can be repeated."""


# Parameters of an address that let somebody in: ?token=, ?X-Amz-Signature=, ?sig=, ?api_key=.
_SECRET = re.compile(
    r"token|secret|passw|pwd|signature|credential|api[-_.]?key|access[-_.]?key|^(sig|auth|key)$",
    re.IGNORECASE,
)


def _parameters(parts: SplitResult) -> list[str]:
    """Names of what stands behind the ? or the # of an address."""
    behind = [*parts.query.split("&"), *parts.fragment.split("&")]
    return [unquote(one.partition("=")[0]) for one in behind if "=" in one]


class UrlDataset(Dataset):
    """A file at an address."""

    source: Literal["url"]
    url: str
    """http or https."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum of the file, checked when it has arrived."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "txt"] | None = None
    """Only needed where the address does not end in a suffix that says it."""
    gutenberg: bool | Literal["auto"] = "auto"
    """Whether a text loses the header and footer of Project Gutenberg; auto: where they are."""

    @model_validator(mode="after")
    def _fetchable(self) -> UrlDataset:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise ValueError(f"url: this is no address: {error}") from None
        secret = "@" in parts.netloc or any(map(_SECRET.search, _parameters(parts)))
        if secret:
            raise ValueError(
                "url: an address with a name and password, a token or a signature would stand in "
                "the manifest and the report; download the file by hand and use `source: file`"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: '{self.url}' must begin with https:// or http:// and a host")
        if self.format is None and self.suffix not in (*SUFFIXES, *TEXT_SUFFIXES):
            raise ValueError(
                f"format: this key is needed, as '{self.url}' does not end in .csv, .json, .txt "
                "or another suffix that says it"
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
    """How GPTQ quantizes a model (Frantar et al. 2022): layer by layer, so that the layer's output
    on some of a task's training text changes least."""

    calibration: str
    """Task whose packed training rows are that text."""
    bits: Literal[2, 3, 4, 8] = 4
    """Bits of a weight."""
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128
    """Weights of a row that share a scale, or -1 for the whole row; it divides the width of
    every layer."""
    samples: int = Field(128, ge=1, le=1_000_000)
    """Rows of calibration text, drawn at random."""
    seed: Seed = 0
    """Fixes which rows."""


class Model(Section):
    gptq: Gptq | None = None
    """Needed by experiments with `quantization: gptq`, ignored by the others."""


class Architecture(Section):
    vocab_size: int = Field(1536, ge=300, le=65_536)
    """Pieces of the byte-level BPE tokenizer, the 256 bytes and the special ones included."""
    hidden_size: int = Field(256, ge=16, le=65_536)
    """Width of the residual stream."""
    intermediate_size: int = Field(704, ge=16, le=1_048_576)
    """Width of the gated feed-forward layer."""
    layers: int = Field(3, ge=1, le=1000)
    """Transformer blocks."""
    heads: int = Field(8, ge=1, le=1024)
    """Attention heads; they divide hidden_size."""
    kv_heads: int = Field(4, ge=1, le=1024)
    """Key and value heads (grouped-query attention); they divide heads."""
    context: int = Field(512, ge=32, le=1_048_576)
    """Longest sequence, in tokens."""

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
    """A small Mistral, built here from the training text of some tasks."""

    source: Literal["pretrain"]
    corpus: list[str] = Field(min_length=1)
    """Tasks whose training split is the text; validation and test are never read."""
    architecture: Architecture = Architecture()
    """Size of the model and its tokenizer."""
    steps: int = Field(440, ge=1, le=100_000_000)
    """Optimizer steps."""
    batch_tokens: int = Field(1024, ge=64, le=100_000_000)
    """Tokens of one optimizer step."""
    sequence_length: int = Field(128, ge=16, le=1_048_576)
    """Tokens of one training sequence."""
    learning_rate: float = Field(3e-3, gt=0)
    """Peak of the one-cycle schedule."""
    seed: Seed = 0
    """Fixes the initial weights and the order of the text."""
    threads: int = Field(2, ge=1, le=256)
    """CPU threads; part of the result, because sums round differently with another number."""


class LocalModel(Model):
    """A Hugging Face folder on this machine."""

    source: Literal["local"]
    path: str = Field(min_length=1)
    """The folder with config.json, the tokenizer and weights as safetensors."""


class HubModel(Model):
    """A model of the Hugging Face Hub; weights as safetensors, no code from its repository."""

    source: Literal["hub"]
    id: RepoId
    """Its name there, such as mistralai/Mistral-7B-v0.1."""
    revision: Revision
    """The commit or tag that is used, so that a run can be repeated."""


AnyModel = Annotated[PretrainModel | LocalModel | HubModel, Field(discriminator="source")]

# ---------------------------------------------------------------- experiments


class Lora(Section):
    """peft's LoraConfig, by the names that papers use."""

    rank: int = Field(8, ge=1, le=65_536)
    """Rank of the update, `r`."""
    alpha: float = Field(16, gt=0)
    """Scale of the update: alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout before the update."""
    targets: list[str] | Literal["all-linear"] = ["q_proj", "v_proj"]
    """Names of the linear layers that are adapted, or all-linear."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which biases are trained."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(rank) instead (rank-stabilized LoRA)."""
    use_dora: bool = False
    """Weight-decomposed LoRA."""
    init_lora_weights: bool | Literal["gaussian", "orthogonal"] = True
    """How the update starts."""
    modules_to_save: list[str] | None = None
    """Layers that are trained whole and stored with the adapter."""
    layers_to_transform: list[int] | None = None
    """Only these transformer blocks; none for all."""
    rank_pattern: dict[str, int] = {}
    """Layer name or pattern -> another rank."""
    alpha_pattern: dict[str, float] = {}
    """Layer name or pattern -> another alpha."""


class Training(Section):
    epochs: float = Field(3, gt=0, le=1000)
    """Passes over the packed training rows."""
    learning_rate: float = Field(2e-4, gt=0)
    """Peak learning rate."""
    batch_size: int = Field(4, ge=1, le=65_536)
    """Packed rows of one forward pass. Where they do not fit into memory, training begins again
    with fewer and as much more accumulation; the manifest says which were used."""
    gradient_accumulation: int = Field(1, ge=1, le=65_536)
    """Forward passes of one optimizer step."""
    schedule: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial"
    ] = "cosine"
    """Course of the learning rate."""
    warmup: Share = 0.03
    """Share of the steps in which the learning rate rises."""
    optimizer: str = "adamw_torch"
    """Any optimizer name of transformers.Trainer. Those with `paged` move their state to the main
    memory while the GPU's is full; without a GPU they are the same without that."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are clipped to this norm."""
    evaluations: int = Field(4, ge=1, le=100_000)
    """How often the validation loss is measured during training."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """What training computes in; adapters are fp32 always. auto: bf16 where the GPU has it, fp16
    on older ones, fp32 on a CPU. A CPU computes in fp32 whatever is asked for, and says so.
    Evaluation does not look at it: it is auto for base and tuned alike."""
    activation_checkpointing: Literal["auto"] | bool = "auto"
    """Whether activations are computed again on the way back instead of kept: less memory, about
    a third more time. auto: on a GPU, for models of more than a thousand million parameters."""
    gpus: int = Field(1, ge=1, le=64)
    """GPUs of one machine that train together. They share the rows of each step, so that its batch
    and the number of steps stay as they are; batch_size x gradient_accumulation must be a multiple
    of it. A model that was built here is trained by as many processes on the CPU."""
    sharded: bool = False
    """Whether the GPUs also share the base (FSDP), which takes less memory on each and more time:
    for a base that one of them cannot hold. With `quantization: nf4` or `none`."""
    threads: int = Field(1, ge=1, le=256)
    """CPU threads where there is no GPU, for each process; part of the result, as sums round
    differently."""

    @model_validator(mode="after")
    def _divides(self) -> Training:
        rows = self.batch_size * self.gradient_accumulation
        if rows % self.gpus:
            raise ValueError(
                f"gpus: a step of {rows} rows (batch_size x gradient_accumulation) cannot be "
                f"shared equally by {self.gpus} GPUs; make it a multiple of {self.gpus}"
            )
        if self.sharded and self.gpus == 1:
            raise ValueError(
                "sharded: one GPU has nobody to share the base with; set gpus to 2 or more, or "
                "leave sharded out"
            )
        return self

    @field_validator("optimizer")
    @classmethod
    def _known(cls, optimizer: str) -> str:
        if optimizer not in OPTIMIZERS:
            raise ValueError(
                f"'{optimizer}' is no optimizer of transformers.Trainer"
                f"{did_you_mean(optimizer, OPTIMIZERS)}; there are {', '.join(OPTIMIZERS)}"
            )
        return optimizer


class PublishedFigure(Section):
    base: float | None = None
    """Before tuning, as it was printed."""
    tuned: float | None = None
    """After tuning, as it was printed."""
    scale: float = Field(1, gt=0)
    """What it is multiplied by to stand on the scale used here: 100 for a BLEU between 0 and 1."""


class Published(Section):
    """What others reported of the same recipe, for the report to set ours beside."""

    source: str = Field(min_length=1)
    """Where the figures come from, in words."""
    metrics: dict[str, PublishedFigure] = {}
    """Metric -> its published figures."""
    differs: list[str] = []
    """How their method differs from the one here, a sentence each."""


class Experiment(Section):
    model: str
    """Name of the base under models."""
    task: str
    """Name of the task under tasks."""
    cross_task: list[str] = []
    """Other tasks that base and tuned are evaluated on, to see what the tuning cost there."""
    quantization: Literal["nf4", "int8", "gptq", "none"] = "nf4"
    """How the base is held, in training and in evaluation: nf4 (4-bit, bitsandbytes), int8
    (LLM.int8, bitsandbytes), gptq (quantized once, on some of a task's text; needs
    requirements-gptq.txt and `gptq` of the model), none (compute precision)."""
    lora: Lora = Lora()
    """The adapter."""
    training: Training = Training()
    """The optimization."""
    published: Published | None = None
    """Figures to compare with; no result depends on them."""

    @model_validator(mode="after")
    def _can_be_sharded(self) -> Experiment:
        if self.training.sharded and self.quantization not in ("nf4", "none"):
            raise ValueError(
                f"training.sharded: a base in {self.quantization} cannot be shared over GPUs; "
                "write `quantization: nf4` or `none`"
            )
        if self.training.sharded and self.lora.use_dora:
            raise ValueError(
                "training.sharded: DoRA needs the whole weights of the base, which no GPU has; "
                "write `use_dora: false`"
            )
        return self


class Statistics(Section):
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Coverage of the intervals."""
    resamples: int = Field(9999, ge=99, le=1_000_000)
    """Bootstrap resamples and permutations."""
    seed: Seed = 0
    """Fixes the resampling."""


class Report(Section):
    title: str = "What the tuning changed"
    """Heading of the page."""
    examples: int = Field(100, ge=3, le=1000)
    """Examples shown for each experiment, chosen from the best, the worst and the middle."""


class Hardware(Section):
    gpu: str | None = None
    """A GPU by name, such as T4 or A100-40GB; none: the one that is there. Nothing but the plan
    looks at it."""
    memory_gb: float | None = Field(None, gt=0, le=10_000)
    """Memory of the GPU in GB (10^9 bytes), in place of what is known of it."""

    @model_validator(mode="after")
    def _known(self) -> Hardware:
        if self.gpu and not self.memory_gb and gpus.find(self.gpu) is None:
            raise ValueError(
                f"gpu: '{self.gpu}' is not among those known"
                f"{did_you_mean(self.gpu, gpus.KNOWN)}; say memory_gb too, or name one of "
                f"{', '.join(gpus.KNOWN)}"
            )
        return self


class Cluster(Section):
    """Set at the top of profiles/slurm/config.yaml."""

    partition: str | None = None
    """Partition of the jobs that need no GPU, or several as a,b; none: the cluster's default."""
    gpu_partition: str | None = None
    """Partition of the jobs that need one; none: that of the others."""
    gpu_type: str | None = None
    """Which GPU, as SLURM calls it, such as a100; none: any."""
    max_minutes: int | None = Field(None, ge=1, le=525_600)
    """The longest job that the partitions allow; none: no limit. A repeated job asks for more
    time, but never for more than this."""

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
                raise ValueError(f"'{name}' cannot be a name of SLURM's")
        return ",".join(names) or None


# ---------------------------------------------------------------- the whole


class Settings(Section):
    """All of config.yaml."""

    run: list[str] | Literal["all"] = "all"
    """The experiments to run and compare."""
    seeds: list[Seed] = Field([1], min_length=1)
    """Training seeds; tuned figures are means over them."""
    datasets: dict[Name, AnyDataset]
    """Raw records by name."""
    models: dict[Name, AnyModel]
    """Untuned models by name."""
    tasks: dict[Name, Any]
    """A dataset with a kind, a split, a prompt and metrics, by name."""
    experiments: dict[Name, Experiment] = Field(min_length=1)
    """One model tuned on one task, by name."""
    statistics: Statistics = Statistics()
    """How base and tuned are compared."""
    report: Report = Report()
    """What the page shows."""
    hardware: Hardware = Hardware()
    """The machine that `snakemake plan` plans for."""
    cluster: Cluster = Cluster()
    """Where jobs run with `--workflow-profile profiles/slurm`."""

    @property
    def chosen(self) -> dict[str, Experiment]:
        """The experiments to run, in the order of `run`."""
        names = self.experiments if self.run == "all" else dict.fromkeys(self.run)
        return {name: self.experiments[name] for name in names}
