"""What transformers makes of a config.json: the class of a model, and how it attends.

No weights are needed, so `snakemake plan`, the fetching and the loading of a model refuse alike,
in the same words, before there are any.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from deltatune.core.errors import UserError
from deltatune.models import upstream
from deltatune.tokens import context

#: How the weights of a text model are called in a checkpoint that has images or sound as well, and
#: how they are called alone: as transformers 5 saves them, and as it did before.
TEXT_PART = {
    r"^model\.language_model\.": "model.",
    r"^language_model\.model\.": "model.",
    r"^language_model\.lm_head\.": "lm_head.",
    r"^model\.text_model\.": "model.",
}

#: Fields of a config that limit what a layer sees, by the words of the many classes.
_WINDOW = re.compile(r"(?!.*(layers|pattern|forward|kernel)).*(window|chunk|radius|topk).*")


@dataclass(frozen=True)
class Architecture:
    """The text model of a config.json.

    config: its own, where the file has that of a multimodal model around it. attention: how it is
    loaded, "sdpa" where its class has that, else "eager". part: whether the file's model is more
    than its text model. tied: whether that model uses its embeddings as its output layer, whatever
    the text model's own config says, where its weights have no such layer.
    """

    config: transformers.PreTrainedConfig
    model_class: type
    attention: str
    part: bool
    tied: bool

    @property
    def name(self) -> str:
        return self.model_class.__name__


def architecture(fields: Mapping[str, Any], where: str = "models") -> Architecture:
    """The causal language model of a config.json.

    fields: what the file has. where: key of the model in config.yaml. Raises UserError, which
    names it, where transformers knows no such model or it is not a causal language model.
    """
    # As transformers writes infinity, which JSON has not.
    fields = json.loads(json.dumps(dict(fields)), object_hook=_number)
    kind = fields.get("model_type")
    others = {key: value for key, value in fields.items() if key not in ("auto_map", "model_type")}
    if not isinstance(others.get("quantization_config"), dict):
        others.pop("quantization_config", None)  # None, in some files
    try:
        whole = transformers.AutoConfig.for_model(str(kind), **others)
    except Exception as error:  # each class checks its fields in its own way
        reason = " ".join(str(error).split())[:200]
        if "Unrecognized model identifier" in reason:
            reason = f"it does not know the model_type '{kind}'"
        raise UserError(
            f"{where}: transformers cannot build the model of this config.json: {reason}. Choose "
            "a model that transformers supports."
        ) from None
    if getattr(whole, "is_encoder_decoder", False):
        raise UserError(
            f"{where}: a model of the type '{kind}' has an encoder and a decoder. What is tuned "
            "here are causal language models, which continue a text; choose one of those."
        )
    config = whole.get_text_config()
    if hasattr(config, "rescale_every"):
        # RWKV halves its weights in evaluation, packed ones and those of an adapter not among them.
        config.rescale_every = 0
    model_class = transformers.MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    if model_class is None:
        raise UserError(
            f"{where}: transformers has no causal language model of the type "
            f"'{config.model_type}', which could continue a text. Choose another model."
        )
    part, tied = config is not whole, bool(getattr(whole, "tie_word_embeddings", False))
    return Architecture(config, model_class, upstream.attention(model_class), part, tied)


def _number(value: dict[str, Any]) -> Any:
    return float(value["__float__"]) if [*value] == ["__float__"] else value


def context_length(model: Any) -> int:
    """Tokens that a model can read at once, without end where ALiBi or a recurrent state sets no
    limit."""
    limit = context.context_length(model.config.to_dict())
    return sys.maxsize if limit is None else limit


def attention_window(model: Any) -> int:
    """Tokens in which every layer sees all that stand before one: no more than the context, the
    narrowest window or chunk that the config names, or so many tokens as a layer chooses."""
    sizes = [
        value
        for name, value in model.config.to_dict().items()
        if isinstance(value, int) and value > 0 and value is not True and _WINDOW.fullmatch(name)
    ]
    return min([context_length(model), *sizes])


def frequencies_change(config: Any) -> int:
    """The longest pass, in tokens, with the rotary frequencies of short ones: LongRoPE (Phi-3 with
    a context of 128k) has others for all rows of a longer pass. Without end for other models.

    config: of transformers.
    """
    rope = getattr(config.get_text_config(), "rope_parameters", None) or {}
    # Some classes have parameters for each kind of layer.
    parts = [rope, *(part for part in rope.values() if isinstance(part, dict))]
    limits = (
        part.get("original_max_position_embeddings")
        for part in parts
        if part.get("rope_type") == "longrope"
    )
    return min(filter(None, limits), default=sys.maxsize)


def of_folder(folder: str | Path, where: str = "models") -> Architecture:
    """That of the model in a folder."""
    fields = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    return architecture(fields, where)
