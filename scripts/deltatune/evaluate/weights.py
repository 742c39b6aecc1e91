"""Which weights a base is evaluated with: as they were trained beside, or dequantized.

By a rule of the settings, the base and whether there is a GPU, never of which one: the jobs of a
base and of what was tuned from it may run on different machines, and all have to choose the same.
Imports no tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deltatune.core.evaluated_with import DEQUANTIZED
from deltatune.evaluate.settings import Weights

#: Parameters that `auto` dequantizes at most: 8 GB in 16 bits, half of the smallest GPU that large
#: models are tuned on. The other half is for the key-value cache and logits.
LARGEST = 4_000_000_000

Used = Literal["unquantized", "quantized", "dequantized"]


@dataclass(frozen=True)
class Choice:
    used: Used
    reason: str


def choose(setting: Weights, stored: str, parameters: int, on_gpu: bool) -> Choice:
    """The weights of a base. setting: `evaluation.weights`. stored: the quantization of the base,
    see `published.equivalent`. parameters: of the base, as if it were not quantized."""
    if stored == "none":
        return Choice("unquantized", "the base is not quantized")
    if stored == "gptq":
        return Choice("quantized", "weights of GPTQ and AWQ are not dequantized")
    if setting != "auto":
        return Choice(setting, f"evaluation.weights: {setting}")
    if not on_gpu:
        return Choice("quantized", "auto, without a GPU")
    if stored == "int8":
        return Choice("quantized", "auto, with LLM.int8, which rounds activations too")
    size = f"{parameters / 1e9:.1f} billion parameters"
    if parameters > LARGEST:
        return Choice("quantized", f"auto, with {size}, more than {LARGEST // 10**9}")
    return Choice(DEQUANTIZED, f"auto, on a GPU with {size}, at most {LARGEST // 10**9}")
