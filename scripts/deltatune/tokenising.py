"""From text to token ids, in the one way that training, generation and scoring share.

Special tokens are added by id and never read out of text: a record that happens to contain "</s>"
is spelt out in ordinary pieces, so that it can neither end a document nor begin one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltatune.errors import UserError


def text_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that stand at the beginning of a document, without special tokens."""
    if not texts:
        return []
    return tokenizer(
        list(texts),
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # no warning about long texts: the caller cuts them
    )["input_ids"]


def continuation_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that continue a prompt: joined to its ids they decode to prompt + text.

    Some tokenizers (Llama, Mistral) put a space before any text that they are given. After a
    prompt that ends in a line break it would teach the model to begin an answer with a space. So
    the text is tokenised behind a line break, whose ids are then taken away; a text that merges
    with the line break is tokenised as it is.
    """
    if not texts:
        return []
    newline, plain, behind = text_ids(["\n", "a", "\na"], tokenizer)
    if behind == newline + plain:
        return text_ids(texts, tokenizer)
    joined = text_ids([f"\n{text}" for text in texts], tokenizer)
    return [
        ids[len(newline) :] if ids[: len(newline)] == newline else alone
        for ids, alone in zip(joined, text_ids(texts, tokenizer), strict=True)
    ]


def prompt_ids(prompts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of prompts with the beginning-of-sequence token first, if the tokenizer has one."""
    return [begin(tokenizer) + ids for ids in text_ids(prompts, tokenizer)]


def begin(tokenizer: Any) -> list[int]:
    """What every document begins with: the id of the beginning-of-sequence token, or nothing."""
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def end(tokenizer: Any) -> int:
    """The id that ends every document. Raises UserError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"The tokenizer {tokenizer.name_or_path or '(unnamed)'} has no end-of-sequence token, "
            "so a model could not learn where an answer stops. Set eos_token in its "
            "tokenizer_config.json, or choose another model in config.yaml."
        )
    return tokenizer.eos_token_id


def padding(tokenizer: Any) -> int:
    """An id to fill rows with: pad if it is not eos, otherwise unk, and eos for want of both.

    Which one matters little: padding is told by its label and its position, never by its id, so
    no token of a document is masked for looking like padding.
    """
    eos = end(tokenizer)
    candidates = (tokenizer.pad_token_id, tokenizer.unk_token_id)
    return next((i for i in candidates if i is not None and i != eos), eos)
