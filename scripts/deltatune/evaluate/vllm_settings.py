"""What vLLM can answer with, known without it. Needs no tensors to be imported."""

from __future__ import annotations

from importlib.util import find_spec

from deltatune.models.settings import Lora

#: Quantization -> how vLLM calls it; None: it reads it from the base's config.json, if it is there.
QUANTIZATIONS = {"none": None, "nf4": "bitsandbytes", "gptq": None, "as-published": None}
#: The ranks of adapters that it has kernels for.
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def missing() -> str:
    """What to do where vLLM is not installed; else ""."""
    if find_spec("vllm") is not None:
        return ""
    return (
        "vllm is not installed. Install it in the environment that runs the jobs (`pip install "
        "-r requirements-vllm.txt`, see docs.vllm.ai for your GPU), or write `transformers`"
    )


def refusal(quantization: str, lora: Lora) -> str:
    """Why it cannot answer as a system of these settings, or ""."""
    if quantization not in QUANTIZATIONS:
        return f"vllm does not quantize to {quantization}"
    if lora.use_dora or lora.modules_to_save or lora.bias != "none":
        return "vllm has no DoRA, no modules_to_save and no bias of an adapter"
    if max(lora.rank, *lora.rank_pattern.values(), 0) > RANKS[-1]:
        return f"vllm takes adapters of rank {RANKS[-1]} at most"
    return ""
