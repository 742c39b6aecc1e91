"""How the weights of a base are held."""

from __future__ import annotations

import logging
import os
import warnings
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch

from deltatune.core.errors import UserError
from deltatune.models.device import Compute


def load_arguments(quantization: str, compute: Compute) -> dict[str, Any]:
    """Arguments for `AutoModelForCausalLM.from_pretrained`.

    Whatever the quantization, embeddings, norms and output layer stay in the compute precision.
    nf4: 4-bit NormalFloat with double quantization (Dettmers et al. 2023, QLoRA).
    int8: LLM.int8 (Dettmers et al. 2022), in fp16 within a product, whatever the precision; on a
    CPU too.
    gptq: the folder holds weights that `gptq.quantize` made.
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

        # One warning for every product: that its inputs are cast to fp16.
        warnings.filterwarnings("ignore", message="MatMul8bitLt")
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        arguments["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif quantization == "gptq":
        require_gptq()
        from transformers import GPTQConfig

        # The bits are read from the folder. The kernel is named, because what gptqmodel 7.6 chooses
        # for a CPU, under `auto_trainable` too, has no gradient once it was used in evaluation
        # mode, and training would go on without it.
        warnings.filterwarnings("ignore", message="You passed `quantization_config`")
        arguments["quantization_config"] = GPTQConfig(bits=4, backend="torch")
    return arguments


def require_gptq() -> None:
    """Raise UserError where the packages for GPTQ are not installed; else make them ready."""
    missing = [name for name in ("gptqmodel", "optimum") if find_spec(name) is None]
    if missing:
        raise UserError(
            f"quantization: gptq needs the package {' and '.join(missing)}. Install what it takes "
            "with `pip install --no-deps -r requirements-gptq.txt -c constraints.txt`, or run with "
            "--use-conda."
        )
    # Read when gptqmodel is imported. With one worker its tasks wait for each other for ever.
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")


def gptq_layers(model: Any) -> dict[str, Any]:
    """Name -> module of the layers that GPTQ quantized."""
    if getattr(getattr(model, "config", None), "quantization_config", None) is None:
        return {}
    if find_spec("gptqmodel") is None:
        return {}
    from gptqmodel.nn_modules.qlinear import BaseQuantLinear

    return {name: m for name, m in model.named_modules() if isinstance(m, BaseQuantLinear)}


def count_parameters(model: Any) -> int:
    """Parameters of a model as if it were not quantized."""
    # GPTQ keeps weights as packed buffers, which count as no parameters.
    packed = sum(m.in_features * m.out_features for m in gptq_layers(model).values())
    return model.num_parameters() + packed


def use_plain_products(model: Any) -> None:
    """Multiply by 4-bit weights in the compute precision, on every machine in the same way.

    On CPUs with AVX512-BF16, bitsandbytes 0.50 packs a layer's weights for a bf16 kernel the first
    time it is used in evaluation mode. The weights stay packed, and that kernel has no gradient:
    after one measurement of the validation loss, nothing would be learnt below the last layer. It
    also rounds to bf16, and needs sizes that are multiples of 64.

    gptqmodel compiles the unpacking of weights for each layer, which takes a C++ compiler and, for
    a model of two blocks, more than a minute. What it unpacks in the forward pass is kept for the
    way back, all of the model at once in 16 bits; here it is unpacked again, as bitsandbytes does.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
    for layer in gptq_layers(model).values():
        # The compiled function hides the method of the same name.
        vars(layer).pop("dequantize_weight", None)
        layer.forward = partial(_multiply, layer)


def _multiply(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """What a GPTQ layer makes of x [..., in]: [..., out]."""
    out = _Product.apply(x, layer)
    return out if layer.bias is None else out + layer.bias.to(out.dtype)


class _Product(torch.autograd.Function):
    """x times the weights of a quantized layer, with nothing kept that grows with the layer."""

    @staticmethod
    def forward(ctx, x: torch.Tensor, layer: Any) -> torch.Tensor:
        ctx.layer, ctx.dtype = layer, x.dtype
        return x @ layer.dequantize_weight().to(x.dtype)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        weights = ctx.layer.dequantize_weight().to(gradient.dtype)
        return (gradient @ weights.T).to(ctx.dtype), None
