"""Settings of bases and adapters that several stages have. Needs no tensors to be imported."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from deltatune.core.schema import Section

Quantization = Literal["nf4", "int8", "gptq", "as-published", "none"]


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(
            f"'{value}' is no regular expression ({error}); write a list of names, all-linear or "
            "a pattern for the whole name of a layer"
        ) from None
    return value


Targets = Annotated[str, AfterValidator(_pattern)]


class Lora(Section):
    """peft's LoraConfig, with the names of the papers."""

    rank: int = Field(8, ge=1, le=65_536)
    """Rank of the update, `r`."""
    alpha: float = Field(16, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout on the input of the update."""
    targets: list[str] | Targets = "all-linear"
    """Target modules: a list of names of layers, such as [q_proj, v_proj]; all-linear: every linear
    layer but the output layer, whatever the architecture calls them; or, as in peft, a regular
    expression for the whole name of a layer, such as `.*(q|v)_proj`."""
    bias: Literal["none", "all", "lora_only"] = "none"
    """Which biases are trained."""
    use_rslora: bool = False
    """Scale by alpha / sqrt(rank) instead (rank-stabilized LoRA)."""
    use_dora: bool = False
    """Weight-decomposed LoRA."""
    init_lora_weights: bool | Literal["gaussian", "orthogonal"] = True
    """Initialization of the LoRA weights, as in peft; true: the paper's."""
    modules_to_save: list[str] | None = None
    """Layers that are fully trained and saved with the adapter."""
    layers_to_transform: list[int] | None = None
    """Indices of the transformer blocks to adapt; null for all."""
    rank_pattern: dict[str, int] = {}
    """Layer name or pattern -> another rank."""
    alpha_pattern: dict[str, float] = {}
    """Layer name or pattern -> another alpha."""
