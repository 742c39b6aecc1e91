"""What a pre-trained model depends on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from deltatune.core.schema import Section, Seed


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


class Pretraining(Section):
    source: Literal["pretrain"]
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


class PretrainSettings(Pretraining):
    """All that decides a pre-trained model, the text of its corpus and the code apart: the params
    of `pretrain_model`."""

    model: str
    corpus: dict[str, str]
    """Task -> its kind."""
