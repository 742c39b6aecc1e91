"""Settings of bases and adapters that several stages have. Needs no tensors to be imported."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from deltatune.core.schema import Section

Quantization = Literal["nf4", "int8", "gptq", "as-published", "none"]


ALL_LINEAR = "all-linear"


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(
            f"'{value}' is no regular expression ({error}); write a list of names, all-linear or "
            "a pattern for the whole name of a layer"
        ) from None
    return value


def _targets(value: str) -> str:
    # Names of layers have dots in them.
    if value != ALL_LINEAR and re.fullmatch(r"[\w-]+", value):
        raise ValueError(
            f"'{value}' alone would be a pattern for the whole name of a layer, such as "
            f".*{value}; write all-linear for every linear one, or a list such as [q_proj, v_proj]"
        )
    return _pattern(value)


Targets = Annotated[str, AfterValidator(_targets)]
Pattern = Annotated[str, AfterValidator(_pattern)]


class Lora(Section):
    """peft's LoraConfig, with the names of the papers."""

    rank: int = Field(8, ge=1, le=65_536)
    """Rank of the update, `r`."""
    alpha: float = Field(16, gt=0)
    """The update is scaled by alpha / rank."""
    dropout: float = Field(0.05, ge=0, lt=1)
    """Dropout on the input of the update."""
    targets: Annotated[list[str], Field(min_length=1)] | Targets = ALL_LINEAR
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
    layers_to_transform: list[Annotated[int, Field(ge=0)]] | None = Field(None, min_length=1)
    """Indices of the transformer blocks to adapt, from 0; null for all. Not with a regular
    expression as `targets`."""
    rank_pattern: dict[Pattern, Annotated[int, Field(ge=1, le=65_536)]] = {}
    """Layer name or pattern -> another rank."""
    alpha_pattern: dict[Pattern, Annotated[float, Field(gt=0)]] = {}
    """Layer name or pattern -> another alpha."""

    @model_validator(mode="after")
    def _blocks_of_named_layers(self) -> Lora:
        if (
            self.layers_to_transform
            and self.targets != ALL_LINEAR
            and isinstance(self.targets, str)
        ):
            raise ValueError(
                "layers_to_transform: give `targets` as a list of names or as all-linear; a "
                "regular expression can name the blocks itself"
            )
        return self
