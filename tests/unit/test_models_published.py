"""Checkpoints that are quantized already, used as what they are."""

import json
from importlib.util import find_spec

import pytest
import tiny
import torch
from deltatune.core.errors import UserError
from deltatune.models import merge, published
from deltatune.models.device import Compute
from deltatune.models.load import load_base
from peft import LoraConfig, get_peft_model

CPU = Compute("cpu", torch.float32, "a test")
BITSANDBYTES = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
}
CONFIGS = {
    "bitsandbytes, 4 bits, nf4": BITSANDBYTES,
    "bitsandbytes, 8 bits": {"quant_method": "bitsandbytes", "load_in_8bit": True},
    "GPTQ, 4 bits, groups of 128": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "AWQ, 4 bits, groups of 128": {"quant_method": "awq", "bits": 4, "group_size": 128},
    "fp8": {"quant_method": "fp8"},
}


@pytest.mark.parametrize("what", CONFIGS)
def test_what_a_checkpoint_is(what):
    config = {"quantization_config": CONFIGS[what]}
    assert published.description(config) == what
    for quantization in ("nf4", "int8", "gptq", "none", "as-published"):
        why = published.problem(config, quantization, "models.m")
        assert (why is None) == (quantization == "as-published" and what != "fp8")
        assert why is None or what in why


def test_awq_in_a_form_without_a_gradient_is_refused():
    config = {"quantization_config": {"quant_method": "awq", "bits": 4, "version": "GEMV"}}
    why = published.problem(config, "as-published", "models.m")
    assert "the form 'GEMV', which has no gradient" in why


@pytest.mark.skipif(find_spec("gptqmodel") is not None, reason="the packages are here")
@pytest.mark.parametrize("what", ["GPTQ, 4 bits, groups of 128", "AWQ, 4 bits, groups of 128"])
def test_without_their_packages_checkpoints_say_what_to_install(tmp_path, what):
    folder = tiny.saved(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": CONFIGS[what]}))
    with pytest.raises(UserError, match=rf"quantization: {what} needs the package gptqmodel"):
        load_base(folder, "as-published", CPU)


def test_plain_weights_are_not_as_published():
    for config in ({}, {"quantization_config": None}):
        assert published.description(config) is None
        assert published.problem(config, "none", "models.m") is None
        with pytest.raises(UserError, match=r"^x: as-published is for.*config.json of models.m"):
            published.check(config, "as-published", "models.m", "x")


@pytest.fixture(scope="module")
def four_bits(tmp_path_factory):
    """A folder as those that are published in 4 bits."""
    plain = tiny.saved(tmp_path_factory.mktemp("plain") / "model", spread=0.1)
    folder = tmp_path_factory.mktemp("four") / "model"
    load_base(plain, "nf4", CPU).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


def test_a_checkpoint_in_4_bits_is_loaded_and_merged_as_what_it_is(four_bits):
    assert json.loads((four_bits / "config.json").read_text())["quantization_config"]
    for quantization in ("none", "nf4"):
        with pytest.raises(UserError, match=r"published quantized \(bitsandbytes, 4 bits, nf4\)"):
            load_base(four_bits, quantization, CPU)
    model = load_base(four_bits, "as-published", CPU)
    layer = model.model.layers[0].self_attn.q_proj
    assert type(layer).__name__ == "Linear4bit"
    assert published.facts(four_bits) == {"published_quantization": "bitsandbytes, 4 bits, nf4"}
    adapter = four_bits.parent / "adapter"
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(model, lora).eval()
    model.save_pretrained(adapter)
    merged = merge.merge(four_bits, "as-published", CPU, adapter).float()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        expected, logits = model(ids).logits, merged(ids).logits
    assert torch.allclose(expected, logits, atol=0.05 * expected.abs().max())
