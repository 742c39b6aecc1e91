"""A tiny model of the same class as another, with random weights, made from its config alone.

What a class does to packed rows, padding and caches depends on its code and on the switches in its
config, and not on its sizes. The twin has all switches and hardly any size, so that it is built
and asked in a tenth of a second, before any weights are there.
"""

from __future__ import annotations

import copy
import re
from typing import Any

import torch
import transformers

VOCABULARY = 128
_HIDDEN, _HEADS, _HEAD_DIM, _EXPERTS = 64, 4, 16, 4

#: Sizes by name, in the words of the many classes.
_SIZES = {
    r"vocab_size(_per_layer_input)?|padded_vocab_size": VOCABULARY,
    r"hidden_size|n_embd|d_model|emb(ed)?_dim|embedding_(size|dim)|word_embed_proj_dim": _HIDDEN,
    r".*intermediate_size|ffn_dim|n_inner|d_ff|(expert_)?ffn_hidden_size|lru_width": _HIDDEN,
    r"num_attention_heads|n_heads?|attention_heads|num_heads": _HEADS,
    r"head_dim|attention_head_dim|v_head_dim|qk_nope_head_dim|qk_rope_head_dim": _HEAD_DIM,
    r"q_lora_rank|kv_lora_rank|hidden_size_per_layer_input": _HEAD_DIM,
    r"rotary_dim|attn_rotary_emb": _HEAD_DIM // 2,
    r"qk_head_dim": 2 * _HEAD_DIM,
    r"num_(local_|routed_)?experts|n_routed_experts|moe_num_experts|zero_expert_num": _EXPERTS,
    r"num_experts_per_tok(en)?|top_k|moe_top_?k|moe_k|num_shared_experts|n_shared_experts": 2,
    r"n(um)?_group|topk_group": 1,
}
#: Parameters of a twin at most; a class with sizes of other names has none.
LIMIT = 20_000_000
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")


def twin(
    config: transformers.PreTrainedConfig, attention: str
) -> transformers.PreTrainedModel | None:
    """In fp32 on the CPU, in evaluation mode; None where its class does not take the small sizes.

    config: of the text model. attention: the implementation. The state of torch's random numbers
    stays as it was.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            arguments = {"attn_implementation": attention, "dtype": torch.float32}
            small = shrunk(config)
            with torch.device("meta"):
                model = transformers.AutoModelForCausalLM.from_config(small, **arguments)
            if sum(parameter.numel() for parameter in model.parameters()) > LIMIT:
                return None
            model = transformers.AutoModelForCausalLM.from_config(small, **arguments)
            for parameter in model.parameters():
                # Wide enough that what one token adds to another is far above rounding.
                if parameter.ndim > 1:
                    parameter.data.normal_(0, 0.1)
            return model.eval()
        except Exception:  # each class has its own way to refuse a size
            return None


def shrunk(config: transformers.PreTrainedConfig) -> transformers.PreTrainedConfig:
    """The config with as few layers as show each kind of layer, and small sizes."""
    small = copy.deepcopy(config)
    fields = small.to_dict()
    layers = next((fields[name] for name in _LAYERS if isinstance(fields.get(name), int)), 2)
    kept = _layers(config, layers)
    # Layers that take keys and values of those before them come after one of each kind.
    times = 2 if fields.get("num_kv_shared_layers") else 1
    heads = getattr(config, "num_attention_heads", None)
    grouped = getattr(config, "num_key_value_heads", None)
    for name, value in fields.items():
        new = _small(name, value, layers, kept, times)
        if name in ("num_key_value_heads", "num_kv_heads") and isinstance(value, int):
            new = _HEADS if grouped == heads else min(value, 2)
        if new is not None and new != value:
            setattr(small, name, new)
    if times > 1:
        small.num_kv_shared_layers = kept
    _shrink_mamba(small, fields)
    for name in small.sub_configs:  # such as that of images, in a class that has both
        if isinstance(part := getattr(small, name, None), transformers.PreTrainedConfig):
            setattr(small, name, shrunk(part))
    if hasattr(small, "quantization_config"):
        del small.quantization_config
    return small


def _shrink_mamba(small: transformers.PreTrainedConfig, fields: dict[str, Any]) -> None:
    """Heads and their width, whose product is that of the state-space layers."""
    if "state_size" in fields and "expand" in fields and "num_heads" in fields:  # Mamba 2
        small.num_heads = small.expand * _HIDDEN // _HEAD_DIM
    for heads, width in (("mamba_n_heads", "mamba_d_head"), ("n_mamba_heads", "mamba_headdim")):
        # Falcon-H1 has a width of its own.
        if heads in fields and width in fields and not fields.get("mamba_d_ssm"):
            setattr(small, heads, small.mamba_expand * _HIDDEN // _HEAD_DIM)
            setattr(small, width, _HEAD_DIM)
    if "attention_hidden_size" in fields and "hidden_size" in fields:
        # That of Zamba is twice the other.
        times = fields["attention_hidden_size"] // fields["hidden_size"]
        small.attention_hidden_size = times * _HIDDEN
        if "attention_head_dim" in fields:
            small.attention_head_dim = times * _HIDDEN // _HEADS


def _layers(config: transformers.PreTrainedConfig, layers: int) -> int:
    """How many of the first layers have every kind that there is, at least two."""
    for name in ("layer_types", "layers_block_type"):
        kinds = getattr(config, name, None)
        if isinstance(kinds, list) and kinds:
            return max(min(layers, 2), *(kinds.index(kind) + 1 for kind in set(kinds)))
    return min(layers, 2)


def _small(name: str, value: Any, layers: int, kept: int, times: int) -> Any:
    """The value that a field has in the twin, or None for its own.

    layers: how many there are. kept, times: so many of the first ones, so many times.
    """
    if name in _LAYERS:
        return kept * times
    if isinstance(value, list) and len(value) == layers:
        return [_size(name, v) or v for v in value[:kept]] * times
    return _size(name, value)


def _size(name: str, value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    if name.endswith("_token_id"):
        return min(value, VOCABULARY - 1)
    return next((min(v, value) for p, v in _SIZES.items() if re.fullmatch(p, name)), None)
