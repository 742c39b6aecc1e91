"""Whether a model has an embedding for each id that its tokenizer can write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens.chat import special_ids


def check(tokenizer: Any, config: Mapping[str, Any], model: str) -> None:
    """Raise UserError where the model would end in an IndexError.

    config: of the model's config.json. model: its name in config.yaml. Special tokens that neither
    a text nor the chat template nor padding can bring do not count: tokenizers of some multimodal
    models have them beyond the embedding of the text model.
    """
    rows = (config.get("text_config") or config).get("vocab_size")
    if rows is None:
        return
    named = [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token]
    template = str(tokenizer.chat_template or "")
    specials = special_ids(tokenizer)
    beyond = {
        id_: token
        for token, id_ in tokenizer.get_vocab().items()
        if id_ >= rows and (token not in specials or token in named or token in template)
    }
    if beyond:
        raise UserError(
            f"models.{model}: the tokenizer has ids up to {max(beyond):,} (such as "
            f"'{beyond[min(beyond)]}', {min(beyond):,}) and the model has embeddings for {rows:,}. "
            "Save the model again after model.resize_token_embeddings(len(tokenizer)), or its "
            "tokenizer without the tokens that were added."
        )
