"""Layers that the settings of an adapter name: one that the model has not is refused."""

import pytest
import torch
from deltatune.core.errors import UserError
from deltatune.models.lora import check_layers, lora_config
from deltatune.models.settings import Lora
from peft import get_peft_model
from pydantic import ValidationError
from transformers import MistralConfig, MistralForCausalLM


@pytest.fixture
def model():
    sizes = {"vocab_size": 64, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    with torch.device("meta"):
        return MistralForCausalLM(
            MistralConfig(**sizes, num_attention_heads=2, num_key_value_heads=1)
        )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"targets": ["q_proj", "norm"]},
            "x.targets: 'model.norm' is no linear layer or embedding",
        ),
        (
            {"targets": ".*attn.*"},
            "x.targets: 'model.layers.0.self_attn' is no linear layer or emb",
        ),
        (
            {"rank_pattern": {"qproj": 4}},
            "x.rank_pattern: 'qproj' is none of the target layers (did",
        ),
        (
            {"targets": ["q_proj"], "alpha_pattern": {"v_proj": 4}},
            "x.alpha_pattern: 'v_proj' is none",
        ),
        ({"layers_to_transform": [1, 2]}, "x.layers_to_transform: the model has no block 2"),
        (
            {"targets": ["lm_head"], "layers_to_transform": [0]},
            "x.layers_to_transform: the model h",
        ),
    ],
)
def test_what_peft_would_ignore_or_print_whole_is_refused(model, settings, message):
    with pytest.raises(UserError) as refused:
        check_layers(model, Lora(**settings), "x")
    assert str(refused.value).startswith(message)
    assert len(str(refused.value)) < 400


def test_layers_of_some_blocks_by_a_word(model):
    """peft takes `layers_to_transform` with a list of names alone."""
    lora = Lora(layers_to_transform=[1], rank_pattern={".*_proj": 2})
    check_layers(model, lora)
    with torch.device("meta"):
        tuned = get_peft_model(model, lora_config(model, lora))
    trained = {name for name, p in tuned.named_parameters() if p.requires_grad}
    assert len(trained) == 14 and all(".layers.1." in name for name in trained)
    assert {p.shape[0] for n, p in tuned.named_parameters() if "lora_A" in n} == {2}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": []}, "at least 1 item"),
        ({"targets": "all_linear"}, "write all-linear for every linear one"),
        ({"targets": "q_proj"}, "such as .*q_proj; write all-linear"),
        ({"targets": ".*q_proj", "layers_to_transform": [0]}, "give `targets` as a list of names"),
        ({"layers_to_transform": []}, "at least 1 item"),
        ({"layers_to_transform": [-1]}, "greater than or equal to 0"),
        ({"rank_pattern": {"(": 2}}, "'(' is no regular expression"),
        ({"rank_pattern": {"q_proj": 0}}, "greater than or equal to 1"),
        ({"alpha_pattern": {"q_proj": 0}}, "greater than 0"),
    ],
)
def test_what_no_model_has_is_refused_with_the_settings(settings, message):
    with pytest.raises(ValidationError) as refused:
        Lora(**settings)
    assert message in str(refused.value)
