"""Each workaround for a library in models/upstream.py: a test fails when it can go.

gptqmodel is not installed here: what works around it is tested in tests/gptq.
"""

import inspect
from contextlib import contextmanager
from dataclasses import replace

import pytest
import tiny
import torch
from bitsandbytes.nn import Linear4bit
from deltatune.models import device, upstream
from deltatune.models.load import load_base
from deltatune.models.quantization import dequantize_small


def test_bitsandbytes_still_packs_weights_for_bf16():
    """What `disable_bf16_packing` turns off; with another name it would do nothing."""
    layer = Linear4bit(64, 64, quant_type="nf4")
    assert hasattr(layer, "support_avx512bf16_for_cpu")
    assert "support_avx512bf16_for_cpu" in inspect.getsource(Linear4bit.forward)


def test_no_layer_packs_its_weights(tmp_path):
    model = load_base(tiny.saved(tmp_path / "model"), "nf4", device.choose("fp32"))
    layers = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert layers and not any(layer.support_avx512bf16_for_cpu for layer in layers)


def outputs_and_gradient(model):
    """Of logits, with the layers below trained, as an adapter's are."""
    embedded = model.get_input_embeddings()(torch.arange(24).reshape(2, 12)).detach()
    embedded.requires_grad = True
    logits = model(inputs_embeds=embedded).logits
    logits.square().sum().backward()
    return logits, embedded.grad


def test_weights_that_are_kept_dequantized_give_the_same_bits_and_are_not_dequantized_again(
    tmp_path, monkeypatch
):
    model = load_base(tiny.saved(tmp_path / "model"), "nf4", device.choose("fp32"))
    before = outputs_and_gradient(model)
    upstream.dequantize_once(model, limit=0)
    assert not any("forward" in vars(module) for module in model.modules())
    upstream.dequantize_once(model, limit=2**20)
    monkeypatch.delattr("bitsandbytes.matmul_4bit")
    after = outputs_and_gradient(model)
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


@pytest.mark.parametrize("quantization, kept", [("nf4", True), ("none", False)])
def test_a_small_base_on_a_cpu_keeps_them(tmp_path, quantization, kept):
    compute = device.choose("fp32")
    model = load_base(tiny.saved(tmp_path / "model"), quantization, compute)
    dequantize_small(model, replace(compute, device="cuda:0"))
    assert not any("forward" in vars(module) for module in model.modules())
    dequantize_small(model, compute)
    assert any("forward" in vars(module) for module in model.modules()) == kept


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


def test_torch_still_has_no_fake_product_of_groups_in_fp32():
    with (
        torch._subclasses.fake_tensor.FakeTensorMode(),
        pytest.raises(RuntimeError, match="Expected inputs of BF16"),
    ):
        offsets = torch.tensor([2, 4], dtype=torch.int32)
        torch.nn.functional.grouped_mm(torch.ones(4, 16), torch.ones(2, 16, 16), offs=offsets)


# ---------------------------------------------------------------- failed captures


class Cuda:
    """What stands for a GPU: a pool of memory, the graph that takes it, and the current stream.

    ends: whether torch ends a failed capture. releases: whether the graph then releases the pool.
    """

    id = (0, 7)

    def __init__(self, monkeypatch, ends, releases):
        self.ends, self.releases = ends, releases
        self.count, self.underway, self.current = 1, False, "default"
        for name, value in {
            "current_device": lambda: 3,
            "current_stream": lambda: self.current,
            "MemPool": lambda: self,
            "stream": self.stream,
            "graph": self.graph,
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self.end)
        monkeypatch.setattr(torch._C, "_cuda_releasePool", self.release)

    def use_count(self):
        return self.count

    def end(self, device, number):
        assert (device, number) == (3, self.id)
        if not self.underway:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self.underway = False

    def release(self, device, number):
        assert (device, number) == (3, self.id)
        self.count -= 1

    def reset(self):
        if self.releases and self.count > 1:
            self.count -= 1

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def graph(self, graph, pool, stream):
        assert (graph, pool) == (self, self.id)
        before, self.current = self.current, stream
        self.count, self.underway = 2, True
        try:
            yield
        except BaseException:
            self.underway = not self.ends
            raise
        self.current, self.underway = before, False


@pytest.mark.parametrize(
    "ends, releases", [(False, False), (True, False), (True, True)], ids=["2.11", "2.13", "later"]
)
def test_nothing_is_left_of_a_capture_that_fails(monkeypatch, ends, releases):
    cuda = Cuda(monkeypatch, ends, releases)
    with pytest.raises(ValueError, match="within"), upstream.captured(cuda, "aside"):
        raise ValueError("within")
    assert (cuda.count, cuda.underway, cuda.current) == (1, False, "default")


def test_a_graph_keeps_the_memory_of_its_capture(monkeypatch):
    cuda = Cuda(monkeypatch, ends=True, releases=True)
    with upstream.captured(cuda, "aside"):
        assert cuda.current == "aside"
    assert (cuda.count, cuda.underway, cuda.current) == (2, False, "default")


def test_torch_still_leaves_the_stream_of_a_failed_capture_and_pools_have_the_same_calls():
    source = inspect.getsource(torch.cuda.graph.__exit__)
    assert "finally" not in source
    assert source.index(".capture_end()") < source.index("stream_ctx.__exit__")
    source = inspect.getsource(torch.cuda.use_mem_pool)
    assert "_cuda_endAllocateToPool(device_index, pool.id)" in source
    assert "_cuda_releasePool(device_index, pool.id)" in source


def test_transformers_names_the_classes_of_blocks():
    assert upstream.block_classes(tiny.model()) == {"MistralDecoderLayer"}
    assert upstream.block_classes(torch.nn.Linear(1, 1)) == set()


def test_torch_still_compiles_nothing_within_a_mode_of_ours():
    """Unless `DispatchMode` says that it is one of torch's."""
    traced = []

    def backend(graph, inputs):
        traced.append(graph)
        return graph

    class Plain(upstream.DispatchMode):
        is_infra_mode = classmethod(lambda kind: False)

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            return function(*args, **(kwargs or {}))

    class Known(Plain):
        is_infra_mode = classmethod(lambda kind: upstream.DispatchMode.is_infra_mode())

    for mode, expected in ((Plain, 0), (Known, 1)):
        torch.compiler.reset()
        with mode():
            torch.compile(lambda x: x + 1, backend=backend)(torch.ones(2))
        assert len(traced) == expected
