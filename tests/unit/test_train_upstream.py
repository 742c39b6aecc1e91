"""Each private part and workaround in train/upstream.py: a test fails when it can go or changes."""

import inspect

import pytest
import tiny
import torch
from accelerate import Accelerator
from deltatune.models import device
from deltatune.models.load import load_base
from deltatune.models.settings import Lora
from deltatune.train import lora, upstream
from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer, TrainingArguments

PRIVATE = {
    "_get_train_sampler": ["self", "train_dataset"],
    "_save_checkpoint": ["self", "model", "trial"],
    "_load_from_checkpoint": ["self", "resume_from_checkpoint", "model"],
    "_load_optimizer_and_scheduler": ["self", "checkpoint"],
    "_load_scaler": ["self", "checkpoint"],
    "_load_rng_state": ["self", "checkpoint"],
}
HOOKS = {name for name in vars(upstream.HookedTrainer) if not name.startswith("_")}


@pytest.mark.parametrize("name", PRIVATE)
def test_the_trainer_still_calls_its_private_steps(name):
    assert list(inspect.signature(getattr(Trainer, name)).parameters) == PRIVATE[name]
    assert f"self.{name}" in inspect.getsource(Trainer)


def test_the_trainer_has_no_methods_of_the_names_of_the_hooks():
    assert HOOKS and not any(hasattr(Trainer, name) for name in HOOKS)


def test_accelerate_still_refuses_sharded_parameters_under_ddp():
    source = inspect.getsource(Accelerator.prepare_model)
    assert "incompatible with DDP" in source and "model_has_dtensor" in source
    assert "self.prepare_model(" in inspect.getsource(Accelerator)


def test_the_trainer_still_takes_every_gpu(tmp_path):
    assert "torch.cuda.device_count()" in inspect.getsource(TrainingArguments)
    arguments = TrainingArguments(output_dir=str(tmp_path), use_cpu=True, report_to="none")
    arguments._n_gpu = 4
    upstream.use_one_gpu(arguments)
    assert arguments.n_gpu == 1


def test_ddp_still_ignores_what_it_is_told_to():
    model = torch.nn.Linear(1, 1)
    upstream.ignore_in_ddp(model, ["bias"])
    assert model._ddp_params_and_buffers_to_ignore == ["bias"]
    assert "_ddp_params_and_buffers_to_ignore" in inspect.getsource(DistributedDataParallel)


def test_weights_are_quantized_on_the_device_named(monkeypatch):
    from bitsandbytes.nn import Linear4bit, Params4bit

    devices = []
    original = Params4bit._quantize
    monkeypatch.setattr(
        Params4bit,
        "_quantize",
        lambda self, target: devices.append(target) or original(self, target),
    )
    with upstream.quantized_on("cpu"):
        Linear4bit(64, 64, quant_type="nf4").to("cpu")
        assert devices == ["cpu"]
    patched = Params4bit._quantize
    with pytest.raises(RuntimeError), upstream.quantized_on("cpu"):
        raise RuntimeError
    assert Params4bit._quantize is patched


def test_8_bit_layers_still_save_their_inputs_beside_autograd():
    from bitsandbytes.autograd import _functions

    for name in ("MatMul8bitFp", "MatMul8bitLt"):
        source = inspect.getsource(getattr(_functions, name).forward)
        assert "ctx.A = A" in source or "ctx.tensors = " in source, f"{name} saves nothing aside"


@pytest.mark.parametrize(("quantization", "expected"), [("int8", True), ("nf4", False)])
def test_only_8_bit_bases_need_reentrant_checkpointing(tmp_path, quantization, expected):
    model = load_base(tiny.saved(tmp_path / "model"), quantization, device.choose("fp32"))
    model = lora.with_lora(model, Lora(rank=1), 0, "base")
    assert upstream.needs_reentrant_checkpointing(model) is expected


def test_bf16_has_nans_that_differ():
    """Why packed weights do not travel as bf16: any two bytes may be a NaN."""
    packed = torch.tensor([0x7FC1, 0x7FC2], dtype=torch.int16)
    numbers = packed.view(torch.bfloat16)
    assert numbers.isnan().all() and not torch.equal(packed[:1], packed[1:])
    assert upstream.PACKED_DTYPE is torch.float32
