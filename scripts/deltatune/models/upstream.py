"""Workarounds for bitsandbytes, gptqmodel, transformers and torch, in one place.

Each says what the library does and in which version that was seen. A test in
tests/unit/test_models_upstream.py or tests/gptq/test_gptq.py fails when it can go.
"""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.pytorch_utils import Conv1D

#: The kernel that GPTQ bases are loaded with. What gptqmodel 7.6 chooses for a CPU by itself, under
#: `auto_trainable` too, has no gradient once it was used in evaluation mode, and training would go
#: on without it.
GPTQ_BACKEND = "torch"
#: The same of AWQ: the kernel for CPUs keeps its weights in a form that has no gradient.
AWQ_BACKEND = "torch_awq"


def prepare_gptqmodel() -> None:
    """To be called before gptqmodel is imported, which reads the variable then.

    With one CPU worker, the tasks of gptqmodel 7.6 wait for each other for ever.
    """
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")


def silence_int8_casts() -> None:
    """bitsandbytes 0.50 warns at every 8-bit product that its inputs are cast to fp16."""
    warnings.filterwarnings("ignore", message="MatMul8bitLt")
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)


def attention(model_class: type) -> str:
    """What a class computes attention with: sdpa where it has that, else eager.

    transformers 5.23 raises ValueError where sdpa is asked of a class that lacks it.
    """
    return "sdpa" if getattr(model_class, "_supports_sdpa", False) else "eager"


def forget_renaming(model: Any) -> None:
    """Let a text model that was loaded from a multimodal checkpoint be saved under its own names.

    transformers 5.23 would save its weights under those of the checkpoint, where the class of the
    text model does not find them: what it lacks it draws at random.
    """
    model._weight_conversions = None


def block_classes(model: Any) -> set[str]:
    """Names of the classes of a model's transformer blocks; none where transformers 5.23 does not
    say."""
    return set(getattr(model, "_no_split_modules", None) or ())


def is_linear(module: Any) -> bool:
    """Whether a module is a linear layer, quantized or not; GPT-2 has one of another name."""
    return isinstance(module, torch.nn.Linear | Conv1D)


def can_be_quantized(module: Any) -> bool:
    """Whether bitsandbytes replaces a linear layer.

    transformers 5.23 passes over subclasses, such as Falcon's, without a word.
    """
    return type(module) is torch.nn.Linear or isinstance(module, Conv1D)


def is_quantized(module: Any) -> bool:
    """Whether bitsandbytes has replaced a linear layer."""
    return type(module).__name__ in ("Linear4bit", "Linear8bitLt")


def quantized_copy(model: Any, quantization: str) -> Any:
    """A copy of a small model on the CPU whose layers bitsandbytes has quantized, as transformers
    does while it loads a model from its files. quantization: nf4 or int8."""
    from bitsandbytes.nn import Linear4bit, Linear8bitLt, Params4bit

    made, head = copy.deepcopy(model), model.get_output_embeddings()
    for name, old in model.named_modules():
        if old is head or not can_be_quantized(old):
            continue
        weight = old.weight.data.T.contiguous() if isinstance(old, Conv1D) else old.weight.data
        shape = weight.shape[1], weight.shape[0], old.bias is not None
        if quantization == "nf4":
            new = Linear4bit(*shape, compute_dtype=weight.dtype, quant_type="nf4")
            new.weight = Params4bit(weight.clone(), requires_grad=False, quant_type="nf4")
        else:
            new = Linear8bitLt(*shape, has_fp16_weights=False, threshold=6.0)
            new.weight.data = weight.clone()
        new.bias = old.bias
        made.set_submodule(name, new.to("cpu"))
    disable_bf16_packing(made)
    return made


def refused_by_peft(model: Any) -> set[str]:
    """Last names of linear layers that peft 0.21 finds under `all-linear` and cannot adapt.

    Its names for the experts of a mixture, which transformers 5 keeps in one tensor, where an
    adapter with dropout is refused; of Mamba's layers those that fused kernels read; and linear
    layers of other classes that give more than a product.
    """
    from peft.utils import transformers_weight_conversion as conversion

    kind = model.config.model_type
    experts = conversion._MODEL_TO_CONVERSION_PATTERN.get(kind)
    names = set(conversion._MOE_TARGET_MODULE_MAPPING.get(experts, ()))
    if kind in ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h"):
        names.add("out_proj")
    others = ("Llama4Router", "PhimoeTopKRouter", "DeepseekV4GroupedLinear")
    return names | {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if type(module).__name__ in others
    }


def weights_of(module: Any) -> int:
    """Weights of a linear layer; a quantized one holds several in a byte."""
    sizes = (getattr(module, "in_features", None), getattr(module, "out_features", None))
    return sizes[0] * sizes[1] if None not in sizes else module.weight.numel()


def conv1d_names(model: Any) -> list[str]:
    """Names of the quantized layers that were of class Conv1D."""
    return [
        name
        for name, module in model.named_modules()
        if getattr(module, "source_cls", None) is Conv1D
    ]


def restore_conv1d(model: Any, names: Iterable[str]) -> None:
    """Make layers Conv1D again, whose weight is transposed.

    `dequantize` of transformers 5.23 leaves each as nn.Linear; saved so, the class of the model,
    which has Conv1D there, would load them as they are, and square ones without an error.
    """
    for name in names:
        linear = model.get_submodule(name)
        layer = Conv1D(linear.out_features, linear.in_features)
        layer.weight = torch.nn.Parameter(linear.weight.data.T.contiguous())
        layer.bias = torch.nn.Parameter(linear.bias.data)
        model.set_submodule(name, layer)


def disable_bf16_packing(model: Any) -> None:
    """Keep 4-bit weights as they are on CPUs with AVX512-BF16.

    bitsandbytes 0.50 packs a layer's weights for a bf16 kernel the first time that it is used in
    evaluation mode. They stay packed, and that kernel has no gradient: after one measurement of
    the validation loss, nothing below the last layer would be trained. It also rounds to bf16, and
    needs sizes that are multiples of 64.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def dequantize_once(model: Any, limit: int) -> None:
    """Keep the numbers that 4-bit weights stand for, unless they take more than `limit` bytes.

    bitsandbytes 0.50 dequantizes a layer's weight in each forward and again in each backward pass.
    The products are the same ones, bit for bit.
    """
    from bitsandbytes.functional import dequantize_4bit
    from bitsandbytes.nn import Linear4bit

    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    states = [layer.weight.quant_state for layer in layers]
    if sum(state.shape.numel() * state.dtype.itemsize for state in states) > limit:
        return
    for layer, state in zip(layers, states, strict=True):
        layer.forward = partial(_linear, layer, dequantize_4bit(layer.weight.data, state))


def _linear(layer: Any, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.linear(x, weight, layer.bias)


def disable_gptq_compilation(layer: Any) -> None:
    """Let a GPTQ layer dequantize its weights anew in the forward and in the backward pass.

    gptqmodel 7.6 compiles `dequantize_weight` for each layer, which takes a C++ compiler and, for a
    model of two blocks, more than a minute. What it dequantizes in the forward pass is saved for
    the backward pass, all of the model at once in 16 bits.
    """
    # The compiled function hides the method of the same name.
    vars(layer).pop("dequantize_weight", None)
    layer.forward = partial(_gptq_forward, layer)


def _gptq_forward(layer: Any, x: torch.Tensor) -> torch.Tensor:
    """What a layer of GPTQ or AWQ makes of x [..., in]: [..., out]."""
    out = multiply(x, lambda dtype: _dequantized(layer).to(dtype))
    return out if layer.bias is None else out + layer.bias.to(out.dtype)


def _dequantized(layer: Any) -> torch.Tensor:
    """The weight [in, out] of a layer of GPTQ, or of AWQ, which has no method for it."""
    if hasattr(layer, "dequantize_weight"):
        return layer.dequantize_weight()
    from gptqmodel.quantization.awq.utils.packing_utils import dequantize_gemm

    packed = layer.qweight, layer.qzeros, layer.scales
    return dequantize_gemm(*packed, bits=layer.bits, group_size=layer.group_size)


def multiply(x: torch.Tensor, dequantize: Callable[[torch.dtype], torch.Tensor]) -> torch.Tensor:
    """x [..., in] times a quantized weight: [..., out].

    dequantize: gives the weight [in, out] in a type. The backward pass calls it again, so that no
    dequantized weight is saved, and so that under FSDP it reads the weight as it is there then.
    """
    return _Multiply.apply(x, dequantize)


class _Multiply(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: torch.Tensor, dequantize: Callable) -> torch.Tensor:
        ctx.dequantize, ctx.dtype = dequantize, x.dtype
        return x @ dequantize(x.dtype)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        weight = ctx.dequantize(gradient.dtype)
        return (gradient @ weight.T).to(ctx.dtype), None


@contextmanager
def fake_products_of_experts() -> Iterator[None]:
    """Let fake tokens pass fake experts in any precision.

    torch 2.13 knows the shape of `grouped_mm` on the CPU in bf16 alone. What transformers 5.23 has
    for where there is no such kernel keeps the same for the backward pass, and has a shape in all.
    """
    from transformers.integrations import moe

    before = moe._can_use_grouped_mm
    moe._can_use_grouped_mm = lambda *arguments: False
    try:
        yield
    finally:
        moe._can_use_grouped_mm = before


@contextmanager
def captured(
    graph: torch.cuda.CUDAGraph, stream: torch.cuda.Stream | None = None
) -> Iterator[None]:
    """`torch.cuda.graph`, of which nothing is left where the capture fails.

    torch 2.13 never frees the memory of a capture that ended by an error (later versions do, see
    pytorch#190348), and leaves its stream the current one. torch 2.11 also takes the capture to go
    on, and then empties no cache at all.
    """
    device = torch.cuda.current_device()
    # Unlike a handle of `graph_pool_handle`, it knows how many use it: the graph is the other one.
    pool = torch.cuda.MemPool()
    try:
        with (
            torch.cuda.stream(torch.cuda.current_stream()),
            torch.cuda.graph(graph, pool=pool.id, stream=stream),
        ):
            yield
    except BaseException:
        # Before all else: what is released here, the graph must not release when it is deleted.
        graph.reset()
        with suppress(RuntimeError):  # of a capture that has ended
            torch._C._cuda_endAllocateToPool(device, pool.id)
        while pool.use_count() > 1:
            torch._C._cuda_releasePool(device, pool.id)
        raise


#: torch 2.13 has no public names for these, on which its own tools to measure memory stand.
fake_tensors = FakeTensorMode
leaves = tree_leaves


def storage_key(storage: torch.UntypedStorage) -> int:
    """The same for all Python objects of one storage; that of fake ones has no address."""
    return storage._cdata


class DispatchMode(TorchDispatchMode):
    """What is called for every operation of torch within it.

    torch 2.13 compiles nothing within such a mode, unless it says that it belongs to torch.
    """

    @classmethod
    def is_infra_mode(cls) -> bool:
        return True


def partition(module: torch.nn.Module) -> None:
    """Let a module save for its backward pass what it saves when it is compiled.

    It is traced when it is used, and divided into a forward and a backward graph, by the functions
    that torch 2.13's default backend has for it. The graphs are run operation by operation: no code
    is generated, so that no compiler is needed, and tensors need no values.
    """
    module.compile(backend="aot_eager_decomp_partition", dynamic=False)
