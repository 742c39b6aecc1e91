"""Every common architecture is right the whole way, or refused before anything is trained."""

from __future__ import annotations

from typing import Any

import architectures_table as table
import pytest
import torch
from architectures_table import STEPS
from deltatune.core.errors import UserError
from deltatune.models import probes
from deltatune.models.architecture import architecture
from deltatune.models.settings import Lora
from deltatune.models.twin import twin
from deltatune.train.lora import with_lora

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, dict[str, str]]:
    return table.examine_all(tmp_path_factory.mktemp("architectures"))


def test_each_is_right_or_refused(outcomes):
    for name, cells in outcomes.items():
        refused = cells["load"].startswith("refused: ")
        assert refused or all(cells[step] for step in STEPS), (name, cells)
        assert not refused or not any(cells[step] for step in STEPS[1:]), (name, cells)


def test_the_page_says_what_was_found(outcomes):
    assert table.documented() == table.table(outcomes), (
        "run: python tests/unit/architectures_table.py"
    )


#: What went wrong once -> (architecture, step, what becomes of it).
DEFECTS = {
    "packed documents of OPT read each other": ("OPT", "packed rows", "one by one"),
    "packed documents of Falcon read each other": ("Falcon", "packed rows", "one by one"),
    "packed documents of LFM2 read each other": ("LFM2", "packed rows", "one by one"),
    "Falcon under nf4 has no 4-bit layer": ("Falcon", "nf4", "refused: nf4 quantizes none"),
    "Gemma 2 does not load": ("Gemma 2", "load", "eager"),
    "BLOOM does not load": ("BLOOM", "load", "eager"),
    "Mamba does not load": ("Mamba", "load", "eager"),
    "GPT-OSS does not load": ("GPT-OSS", "load", "eager"),
    "GPT-J does not load": ("GPT-J", "load", "eager"),
    "MPT does not load": ("MPT", "load", "eager"),
    "CodeGen does not load": ("CodeGen", "load", "eager"),
    "XGLM does not load": ("XGLM", "load", "eager"),
    "RWKV does not load": ("RWKV", "load", "eager"),
    "Gemma 3 multimodal fails at its answers": ("Gemma 3, multimodal", "answers", "in batches"),
    "LFM2 fails at its labels": ("LFM2", "labels", "each with its prompt"),
    "GPT-2 is merged transposed": ("GPT-2", "reload", "yes"),
    "T5 ends in a list of classes": ("T5", "load", "refused: a model of the type 't5' has an"),
    "BERT is trained": ("BERT", "load", "refused: BertLMHeadModel is not causal"),
    "all-linear is refused for Mixtral": ("Mixtral", "LoRA", "8 layers"),
    "all-linear is refused for Mamba": ("Mamba", "LoRA", "6 layers"),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_what_went_wrong_once(outcomes, defect):
    name, step, known = DEFECTS[defect]
    assert outcomes[name][step].startswith(known)


# ---------------------------------------------------------------- those that the table lacks

_DEEPSEEK = {
    **{"n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6},
    **{"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128},
}
#: model_type -> the sizes of a published one where the class has none of its own.
RIGHT: dict[str, dict[str, Any]] = {
    **{
        kind: {}
        for kind in (
            *("cohere", "cohere2", "glm", "glm4", "phi", "stablelm", "olmo", "olmo3", "exaone4"),
            *("gpt_bigcode", "gpt_neo", "openai-gpt", "persimmon", "qwen2_moe", "phimoe", "olmoe"),
            *("llama4_text", "llama4", "gemma3n", "llava", "mistral3", "idefics3", "internvl"),
            *("zamba2", "jamba"),
        )
    },
    "bamba": {"attn_layer_indices": [9, 18, 27]},
    "granitemoehybrid": {"num_hidden_layers": 4, "layer_types": ["mamba", "attention"] * 2},
    "nemotron": {"num_key_value_heads": 8, "head_dim": 128},
    "deepseek_v2": _DEEPSEEK | {"q_lora_rank": None, "topk_method": "greedy"},
    "deepseek_v3": {},
}


@pytest.mark.parametrize("kind", RIGHT)
def test_others_are_asked_before_there_are_weights_and_can_be_adapted(kind):
    made_of = architecture({"model_type": kind} | RIGHT[kind])
    small = twin(made_of.config, made_of.attention)
    assert small is not None, "snakemake plan cannot ask it"
    probes.require(made_of, "models.m", small)
    table.assert_some_logits_are_those_of_all(small)
    model = with_lora(small, Lora(rank=2), 0, "base").train()
    ids = torch.tensor([probes.FIRST + probes.SECOND])
    model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    trained = [p.grad for n, p in model.named_parameters() if "lora_B" in n]
    moved = [g for g in trained if g is not None]  # some classes use a weight without its layer
    assert moved and all(g.isfinite().all() for g in moved) and any(g.any() for g in moved)


REFUSED = {
    **dict.fromkeys(("roberta", "electra", "xlnet", "big_bird"), "is not causal"),
    **dict.fromkeys(("bart", "mt5", "led", "t5gemma", "whisper"), "an encoder and a decoder"),
    **dict.fromkeys(("albert", "deberta-v2", "modernbert", "vit"), "no causal language model"),
    "paligemma": "is not causal",
    "hrm_text": "does not generate text",
    "qwen-vl": "does not know the model_type 'qwen-vl'",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused_before_there_are_weights(kind):
    with pytest.raises(UserError, match=rf"^models\.m: .*{REFUSED[kind]}"):
        probes.require(architecture({"model_type": kind}, "models.m"), "models.m")


def test_a_class_with_sizes_of_other_names_has_no_large_twin():
    made_of = architecture({"model_type": "blt"})
    assert twin(made_of.config, made_of.attention) is None


def test_fields_that_no_model_has_are_told():
    for fields in ({}, {"model_type": "llama", "hidden_size": "x"}, {"model_type": "llama",
                   "num_attention_heads": 0}):  # fmt: skip
        with pytest.raises(UserError, match=r"models\.m: transformers cannot build the model"):
            architecture(fields, "models.m")
    assert architecture({"model_type": "llama", "quantization_config": "none"})
