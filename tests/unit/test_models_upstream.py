"""Each workaround for a library in models/upstream.py: a test fails when it can go.

gptqmodel is not installed here: what works around it is tested in tests/gptq.
"""

import inspect

import pytest
import tiny
import torch
from bitsandbytes.nn import Linear4bit
from deltatune.models import device, upstream
from deltatune.models.load import load_base


def test_bitsandbytes_still_packs_weights_for_bf16():
    """What `disable_bf16_packing` turns off; with another name it would do nothing."""
    layer = Linear4bit(64, 64, quant_type="nf4")
    assert hasattr(layer, "support_avx512bf16_for_cpu")
    assert "support_avx512bf16_for_cpu" in inspect.getsource(Linear4bit.forward)


def test_no_layer_packs_its_weights(tmp_path):
    model = load_base(tiny.saved(tmp_path / "model"), "nf4", device.choose("fp32"))
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert layers and not any(layer.support_avx512bf16_for_cpu for layer in layers)


def test_bitsandbytes_still_warns_at_8_bit_products():
    from bitsandbytes.autograd import _functions

    source = inspect.getsource(_functions)
    assert "MatMul8bitLt: inputs will be cast" in source
    assert _functions.logger.name == "bitsandbytes.autograd._functions"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_has_the_gradient_of_a_matrix_product(dtype):
    weight = torch.randn(8, 5, dtype=dtype)
    x = torch.randn(2, 3, 8, dtype=dtype, requires_grad=True)
    calls = []

    def dequantize(type_):
        calls.append(type_)
        return weight.to(type_)

    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        product = upstream.multiply(x, dequantize)
    assert torch.equal(product, x @ weight) and not saved
    product.sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(1).expand(2, 3, -1))
    assert calls == [dtype, dtype]
