"""How the weights of a base are held."""

from __future__ import annotations

from typing import Any

from deltatune.compute import Compute


def load_arguments(quantisation: str, compute: Compute) -> dict[str, Any]:
    """Arguments for `AutoModelForCausalLM.from_pretrained`.

    nf4: 4-bit NormalFloat with double quantisation (Dettmers et al. 2023, QLoRA); embeddings,
    norms and output layer stay in the compute precision.
    """
    arguments: dict[str, Any] = {"dtype": compute.dtype, "device_map": {"": compute.device}}
    if quantisation == "nf4":
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute.dtype,
        )
    return arguments


def use_plain_products(model: Any) -> None:
    """Multiply by 4-bit weights in the compute precision, on every CPU in the same way.

    On CPUs with AVX512-BF16, bitsandbytes 0.50 packs a layer's weights for a bf16 kernel the first
    time it is used in evaluation mode. The weights stay packed, and that kernel has no gradient:
    after one measurement of the validation loss, nothing would be learnt below the last layer. It
    also rounds to bf16, and needs sizes that are multiples of 64.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
