"""How several processes share the rows of a step, and settings that several GPUs cannot have.

The processes themselves are in tests/end_to_end/test_train_processes.py.
"""

import pytest
import torch
import yaml
from deltatune.config import load as settings
from deltatune.core import manifest
from deltatune.core.errors import UserError
from deltatune.models import device
from deltatune.models.batch import Batch
from deltatune.models.device import Compute
from deltatune.train import checkpoints
from deltatune.train.data import PaddedDataset, SeededSampler
from test_train_train import rows


@pytest.fixture(scope="module")
def data():
    return rows(21), rows(6, seed=1)


@pytest.mark.parametrize(
    ("whole", "processes", "expected"),
    [
        ((4, 4), 2, (4, 2)),
        ((4, 1), 2, (2, 1)),
        ((4, 1), 4, (1, 1)),
        ((4, 3), 2, (3, 2)),
        ((6, 1), 2, (3, 1)),
        ((1, 8), 4, (1, 2)),
        ((5, 2), 1, (5, 2)),
    ],
)
def test_a_step_keeps_its_rows(whole, processes, expected):
    batch = Batch(*whole).per_process(processes)
    assert batch == Batch(*expected) and batch.rows * processes == Batch(*whole).rows


def test_rows_that_processes_cannot_divide_are_refused():
    with pytest.raises(ValueError, match="9 rows cannot be divided among 2 processes"):
        Batch(9, 1).per_process(2)


def test_each_epoch_has_an_order_of_its_own_and_padding_comes_last():
    sampler = SeededSampler(10, seed=5, multiple=4)
    order = list(sampler)
    assert sorted(order) == list(range(12)) and order[10:] == [10, 11] and len(sampler) == 12
    assert list(sampler) == order and list(SeededSampler(10, 5))[:10] == order[:10]
    sampler.epoch = 1
    assert list(sampler) != order
    assert list(SeededSampler(10, 6)) == list(sampler)[:10]


def test_padding_rows_are_not_supervised(data):
    padded = PaddedDataset(data[0], len(data[0]) + 2)
    assert len(padded) == len(data[0]) + 2 and padded[3] == data[0][3]
    assert set(padded[len(data[0])]["labels"]) == {-100}
    assert len(padded[len(data[0]) + 1]["labels"]) == len(data[0][0]["labels"])


def test_fewer_gpus_than_requested(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"training\.gpus: 2 are requested and 1 are available"):
        device.require(2, Compute("cuda:0", torch.bfloat16, ""))
    device.require(1, Compute("cuda:0", torch.bfloat16, ""))
    device.require(8, Compute("cpu", torch.float32, ""))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training": {"gpus": 3}}, r"news-qlora\.training.*gpus: a step of \d+ rows"),
        ({"training": {"sharded": True}}, r"news-qlora\.training.*sharded: one GPU"),
        ({"quantization": "int8", "training": {"gpus": 2, "sharded": True}}, "sharded: a base in"),
        ({"lora": {"use_dora": True}, "training": {"gpus": 2, "sharded": True}}, "DoRA"),
    ],
)
def test_settings_that_cannot_be(default_config, change, message):
    config = yaml.safe_load(yaml.safe_dump(default_config))
    experiment = config["experiments"]["news-qlora"]
    for key, value in change.items():
        experiment[key] = {**experiment.get(key, {}), **value} if isinstance(value, dict) else value
    with pytest.raises(UserError, match=message):
        settings.load_settings(config)


def test_what_several_processes_used_is_added_up():
    earlier = {"seconds": 10.0, "peak_memory_gb": 1000.0, "peak_gpu_memory_gb": 7.0}
    used = manifest.used(earlier)
    assert used["seconds"] > 10 and used["peak_memory_gb"] == 1000
    assert used["peak_gpu_memory_gb"] == 7
    assert manifest.used()["peak_memory_gb"] < 100 and checkpoints.RATIO == 50


def test_packed_weights_are_stored_as_numbers_whose_bytes_no_copy_changes():
    """On a GPU, copies of bf16 make all NaNs one, and any two bytes may be a NaN."""
    from bitsandbytes.nn import Linear4bit
    from deltatune.train import fsdp

    layer = Linear4bit(64, 64, bias=False, compute_dtype=torch.bfloat16, quant_type="nf4")
    layer.weight.data = torch.randn(64, 64).bfloat16()
    layer.to("cpu")
    packed = layer.weight.data.clone()
    fsdp.unwrap_packed_weight(layer, "cpu")
    assert layer.weight.dtype == torch.float32
    assert torch.equal(layer.weight.view(torch.uint8), packed.view(-1))
