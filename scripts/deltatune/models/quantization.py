"""The quantization of a base: how it is loaded, and what its layers are."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from deltatune.core.errors import UserError
from deltatune.models import upstream
from deltatune.models.device import Compute

#: Bytes of dequantized weights that may be kept: little beside what a process takes anyway.
KEPT_DEQUANTIZED = 256 * 2**20


def load_arguments(quantization: str, compute: Compute) -> dict[str, Any]:
    """Arguments for `AutoModelForCausalLM.from_pretrained`.

    Whatever the quantization, embeddings, norms and output layer stay in the compute precision.
    nf4: 4-bit NormalFloat with double quantization (Dettmers et al. 2023, QLoRA).
    int8: LLM.int8 (Dettmers et al. 2022), in fp16 within a product, whatever the precision; on a
    CPU too.
    gptq: the folder holds weights that `gptq.quantize` made, or others. awq: those of AWQ.
    """
    arguments: dict[str, Any] = {"dtype": compute.dtype, "device_map": {"": compute.device}}
    if quantization == "nf4":
        from transformers import BitsAndBytesConfig

        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute.dtype,
        )
    elif quantization == "int8":
        from transformers import BitsAndBytesConfig

        upstream.silence_int8_casts()
        arguments["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization == "gptq":
        require_gptq()
        from transformers import GPTQConfig

        # The bits are read from the folder.
        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        arguments["quantization_config"] = GPTQConfig(bits=4, backend=upstream.GPTQ_BACKEND)
    elif quantization == "awq":
        require_gptq("AWQ")
        from transformers import AwqConfig

        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        arguments["quantization_config"] = AwqConfig(bits=4, backend=upstream.AWQ_BACKEND)
    return arguments


def require_gptq(what: str | None = "gptq") -> None:
    """Raise UserError where the packages for GPTQ, and for AWQ, are not installed; else prepare
    them. what: the weights that need them."""
    missing = [name for name in ("gptqmodel", "optimum") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"quantization: {what} needs the package {' and '.join(missing)}. Install it with `pip "
            "install --no-deps -r requirements-gptq.txt -c constraints.txt`, or run with "
            "--use-conda."
        )
    upstream.prepare_gptqmodel()


def gptq_layers(model: Any) -> dict[str, Any]:
    """Name -> module of the layers that GPTQ, or AWQ, quantized."""
    if getattr(getattr(model, "config", None), "quantization_config", None) is None:
        return {}
    if find_spec("gptqmodel") is None:
        return {}
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear

    return {name: m for name, m in model.named_modules() if isinstance(m, BaseQuantLinear)}


@dataclass(frozen=True)
class Layers:
    """The linear layers of a model, its output layer apart: how many of them are quantized, or
    would be, and the share that these have of all parameters."""

    quantized: int
    linear: int
    share: float


def layers(model: Any, planned: bool = False) -> Layers:
    """Counted in a model as it was loaded. planned: in one that is not quantized yet, those that
    bitsandbytes would quantize."""
    gptq = list(gptq_layers(model).values())
    is_quantized = upstream.can_be_quantized if planned else upstream.is_quantized
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if upstream.is_linear(m) and m is not head]
    quantized = [m for m in linear if is_quantized(m)] + gptq
    share = sum(map(upstream.weights_of, quantized)) / max(count_parameters(model), 1)
    return Layers(len(quantized), len(linear) + len(gptq), round(share, 6))


def require_quantized(counted: Layers, quantization: str, name: str, where: str) -> None:
    """Raise UserError, naming the key, where a quantization takes no layer.

    name: of the model's class. where: key of the quantization in config.yaml.
    """
    if quantization in ("nf4", "int8") and not counted.quantized:
        raise UserError(
            f"{where}: {quantization} quantizes none of the {counted.linear} linear layers of "
            f"{name}, which are of a class that bitsandbytes leaves as it is. Write `none`, or "
            "choose another model."
        )


def count_parameters(model: Any) -> int:
    """Parameters of a model as if it were not quantized."""
    # GPTQ stores weights as packed buffers, which count as no parameters.
    packed = sum(map(upstream.weights_of, gptq_layers(model).values()))
    return model.num_parameters() + packed


def dequantize_small(model: Any, compute: Compute) -> None:
    """On a CPU, keep the weights of a small 4-bit base dequantized beside the packed ones: the same
    results sooner. On a GPU it would be the memory that the quantization saves."""
    if compute.device == "cpu" and getattr(model, "is_loaded_in_4bit", False):
        upstream.dequantize_once(model, KEPT_DEQUANTIZED)


def disable_fused_kernels(model: Any) -> None:
    """Multiply by 4-bit weights in the compute precision, on every machine in the same way."""
    upstream.disable_bf16_packing(model)
    for layer in gptq_layers(model).values():
        upstream.disable_gptq_compilation(layer)
