import pytest
import torch
from deltatune.core.errors import UserError
from deltatune.models import device as compute


@pytest.fixture
def gpu(monkeypatch):
    """Let torch tell of a GPU that is not there."""

    def set_(name, capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)

    return set_


T4, A100 = ("Tesla T4", (7, 5)), ("NVIDIA A100-SXM4-40GB", (8, 0))


@pytest.mark.parametrize(
    ("card", "precision", "dtype"),
    [
        (T4, "auto", torch.float16),
        (T4, "fp16", torch.float16),
        (T4, "fp32", torch.float32),
        (A100, "auto", torch.bfloat16),
        (A100, "bf16", torch.bfloat16),
        (A100, "fp16", torch.float16),
        (A100, "fp32", torch.float32),
    ],
)
def test_a_gpu_computes_in_what_it_has(gpu, card, precision, dtype):
    gpu(*card)
    chosen = compute.choose(precision)
    assert (chosen.device, chosen.dtype) == ("cuda:0", dtype)
    assert card[0] in chosen.reason


def test_bf16_is_refused_where_it_would_be_emulated(gpu):
    gpu(*T4)
    with pytest.raises(
        UserError, match=r"training\.precision: Tesla T4 does not support bf16.*fp16"
    ):
        compute.choose("bf16")


@pytest.mark.parametrize("precision", ["auto", "bf16", "fp16", "fp32"])
def test_a_cpu_computes_in_fp32_whatever_a_recipe_asks(monkeypatch, precision, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = compute.prepare(0, 1, precision)
    assert (chosen.device, chosen.dtype) == ("cpu", torch.float32)
    assert (f"{precision} is left to GPUs" in chosen.reason) is (precision in ("bf16", "fp16"))
    assert chosen.reason in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["auto", "bf16"])
def test_apple_s_gpu_computes_what_is_not_quantized_and_says_that_it_is_untested(
    monkeypatch, precision, capsys
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    chosen = compute.prepare(0, 1, precision, quantized=False)
    assert (chosen.device, chosen.dtype) == ("mps", torch.float32)
    assert "UNTESTED" in capsys.readouterr().out
    compute.require(1, chosen)
    # bitsandbytes and the kernels of GPTQ are for CPUs and for what torch calls cuda.
    assert compute.prepare(0, 1, precision).device == "cpu"


def test_amd_s_gpus_are_torch_s_cuda(gpu):
    gpu("AMD Instinct MI300X", (9, 4))
    assert compute.choose().dtype is torch.bfloat16
