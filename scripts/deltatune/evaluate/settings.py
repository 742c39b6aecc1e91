"""What the outputs of a system depend on, whatever they are. Needs no tensors to be imported."""

from __future__ import annotations

from typing import Literal, TypeVar

from deltatune.core.schema import Section
from deltatune.models.settings import Quantization
from deltatune.tasks.base import BatchSize

Prompts = TypeVar("Prompts", bound=Section)
"""`Prompts` of the kind of the task."""
Questions = TypeVar("Questions", bound=Section)
"""`Questions` of the kind of the task."""
Weights = Literal["auto", "quantized", "dequantized"]
Backend = Literal["transformers", "vllm"]


class Evaluation(Section):
    weights: Weights = "auto"
    """The weights that base and tuned systems are evaluated with. quantized: as trained, the
    adapter beside them. dequantized: those of nf4 and int8 are dequantized once, with the adapter
    merged into them, which answers sooner and takes the memory of 16-bit weights. auto: dequantized
    on a GPU, where the base is in nf4 and has at most 4 billion parameters; else quantized."""
    backend: Backend = "transformers"
    """What generates answers, of base and tuned alike. vllm: where that is installed, on a GPU,
    greedily and with the weights as trained. Likelihoods are computed by transformers either way.
    """


class EvaluationSettings(Section):
    """The same for a base and for what was tuned from it: the weights are inputs."""

    task: str
    kind: str
    quantization: Quantization
    weights: Weights
    batch_size: BatchSize
    """Of the first attempt: see `outputs.compute`."""


class PromptedSettings(EvaluationSettings):
    refuses_long_prompts: bool
    """Whether a prompt that does not fit stops the evaluation, or is cut."""
