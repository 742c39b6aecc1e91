"""What a quantized model depends on, as types. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deltatune.core.schema import Section, Seed


class Quantizing(Section):
    bits: Literal[2, 3, 4, 8] = 4
    """Bits per weight."""
    group_size: Literal[-1, 16, 32, 64, 128, 256, 512, 1024] = 128
    """Weights of a row that share a scale, or -1 for the whole row; it must divide the input width
    of every layer."""
    samples: int = Field(128, ge=1, le=1_000_000)
    """Number of calibration rows, sampled at random."""
    seed: Seed = 0
    """Seed of the sampling."""


class QuantizeSettings(Quantizing):
    """All that decides a quantized model, its weights, the calibration text and the code apart: the
    params of `quantize_model`."""

    model: str
