"""What an adapter depends on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from deltatune.core.schema import Section, Seed, Share
from deltatune.core.text import did_you_mean
from deltatune.models.settings import Lora, Quantization
from deltatune.train.optimizers import optimizer_names


class Training(Section):
    epochs: float | None = Field(3, gt=0, le=1000)
    """Passes over the packed training rows; null where `max_steps` is set."""
    max_steps: int | None = Field(None, ge=1, le=10_000_000)
    """Optimizer steps in place of `epochs`: the learning rate schedule, the warmup and the
    evaluations are spread over them, and the rows are repeated where they do not suffice."""
    learning_rate: float = Field(2e-4, gt=0)
    """Peak learning rate."""
    batch_size: int = Field(4, ge=1, le=65_536)
    """Packed rows of one forward pass where there is no GPU. On a GPU, batch_size x
    gradient_accumulation, the rows of an optimizer step, is what counts: as many of them as its
    memory holds go through one forward pass, which changes a step by rounding and by the masks of
    dropout alone. Where memory runs out all the same, training restarts with fewer at a time. The
    manifest has the values that were used, and why."""
    gradient_accumulation: int = Field(1, ge=1, le=65_536)
    """Forward passes per optimizer step where there is no GPU, see batch_size."""
    schedule: Literal[
        "linear", "cosine", "constant", "constant_with_warmup", "inverse_sqrt", "polynomial"
    ] = "cosine"
    """Learning rate schedule."""
    warmup: Share = 0.03
    """Fraction of the steps for learning rate warmup."""
    optimizer: str = "adamw_torch"
    """Any optimizer name of transformers.Trainer. Paged ones move their state to main memory while
    GPU memory is full; without a GPU they are not paged."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Maximum norm for gradient clipping."""
    evaluations: int = Field(4, ge=1, le=100_000)
    """How many times the validation loss is computed during training."""
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    """Compute type of training; adapters are always fp32. auto: bf16 where the GPU supports it,
    else fp16, and fp32 on a CPU. On a CPU it is fp32 whatever is set, with a line in the log.
    Evaluation ignores it: its precision is auto for base and tuned alike."""
    activation_checkpointing: Literal["auto"] | bool = "auto"
    """Recompute activations in the backward pass instead of saving them: less memory, a third to a
    half more time. auto: on a GPU, where the rows of a step do not fit into one forward pass
    without it and several passes would take longer; with `sharded: true` for models of more than a
    billion parameters."""
    gpus: int = Field(1, ge=1, le=64)
    """GPUs of one machine for data-parallel training (DDP). The rows of each step are divided among
    them, so the effective batch size and the number of steps stay the same; batch_size x
    gradient_accumulation must be a multiple of it. Models with `source: pretrain` are trained by as
    many processes on the CPU where there is no GPU."""
    sharded: bool = False
    """Also shard the base over the GPUs (FSDP), with less memory per GPU and more time: for a base
    that does not fit on one GPU. Requires `quantization: nf4` or `none`."""
    determinism: Literal["auto", "strict"] = "auto"
    """How steps are computed on a GPU. auto: by the fastest kernels of the same mathematics
    (docs/training.md); a run that is repeated differs in its rounding. strict: deterministic
    algorithms where torch has them, nothing compiled or fused, the optimizer as it is named; much
    slower. A CPU always repeats itself."""
    threads: int = Field(1, ge=1, le=256)
    """CPU threads per process where there is no GPU; changes the result, because floating-point
    sums depend on their order."""

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, values: Any) -> Any:
        """`max_steps` replaces the default of `epochs`, and nothing that was written."""
        if not isinstance(values, dict) or values.get("max_steps") is None:
            return values
        if values.get("epochs") is not None:
            raise ValueError(
                f"max_steps: {values['max_steps']} steps and {values['epochs']} epochs are two "
                "lengths of one training; remove one of them, or write `epochs: null`"
            )
        return {**values, "epochs": None}

    @model_validator(mode="after")
    def _has_a_length(self) -> Training:
        if self.epochs is None and self.max_steps is None:
            raise ValueError("epochs: null is for a training with max_steps; set one of them")
        return self

    @model_validator(mode="after")
    def _divides(self) -> Training:
        rows = self.batch_size * self.gradient_accumulation
        if rows % self.gpus:
            raise ValueError(
                f"gpus: a step of {rows} rows (batch_size x gradient_accumulation) cannot be "
                f"divided equally among {self.gpus} GPUs; make it a multiple of {self.gpus}"
            )
        if self.sharded and self.gpus == 1:
            raise ValueError(
                "sharded: one GPU cannot shard the base; set gpus to 2 or more, or remove sharded"
            )
        return self

    @field_validator("optimizer")
    @classmethod
    def _known(cls, optimizer: str) -> str:
        names = optimizer_names()
        # Where transformers is not installed, training refuses an unknown name.
        if names and optimizer not in names:
            raise ValueError(
                f"'{optimizer}' is not an optimizer of transformers.Trainer"
                f"{did_you_mean(optimizer, names)}; there are {', '.join(names)}"
            )
        return optimizer


class Base(Section):
    """What an adapter calls its base."""

    name: str
    """A folder or a hub id."""
    revision: str | None
    """Of the hub id."""


class TrainSettings(Section):
    """All that decides an adapter, its inputs and the code apart: the params of `train_adapter`."""

    model: str
    """Name of the base under models."""
    quantization: Quantization
    lora: Lora
    training: Training
    seed: Seed
    base: Base
