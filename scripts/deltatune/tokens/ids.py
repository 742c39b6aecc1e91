"""Text to token ids, the same way for training, generation and scoring.

Special tokens are added by id and never parsed from text: a record that contains "</s>" is split
into ordinary tokens, so that it can neither end a document nor begin one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens import words
from deltatune.tokens.upstream import is_plain_backend

_BATCH = 100
"""Texts that are tokenized together: what is made of them fits into the caches of a processor."""


def text_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that stand at the beginning of a document, without special tokens."""
    if not texts:
        return []
    if is_plain_backend(tokenizer):
        backend = tokenizer.backend_tokenizer
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        return _encoder(tokenizer, len(tokenizer))(texts)
    return tokenizer(
        list(texts),
        add_special_tokens=False,
        split_special_tokens=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,  # no warning about long texts: the caller truncates them
    )["input_ids"]


@lru_cache(maxsize=4)
def _encoder(tokenizer: Any, size: int) -> Callable[[Sequence[str]], list[list[int]]]:
    """What gives the ids of texts, and may remember those of words. size: of the vocabulary as it
    is now, with the tokens that were added."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        rows = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            some = tokenizer.backend_tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            rows += [encoding.ids for encoding in some]
        return rows

    if not words.are_separable(tokenizer):
        return encode
    return words.Words(encode, words.digits_are_apart(tokenizer)).ids


def continuation_ids(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that continue a prompt: joined to its ids they decode to prompt + text.

    Some tokenizers (Llama, Mistral) put a space before any text. After a prompt that ends in a
    line break it would train the model to begin an answer with a space. So the text is tokenized
    behind a line break, whose ids are then removed; a text that merges with the line break is
    tokenized as it is.
    """
    if not texts:
        return []
    newline, letter, joined = text_ids(["\n", "a", "\na"], tokenizer)
    if joined == newline + letter:
        return text_ids(texts, tokenizer)
    rows = text_ids([f"\n{text}" for text in texts], tokenizer)
    merged = [i for i, ids in enumerate(rows) if ids[: len(newline)] != newline]
    rows = [ids[len(newline) :] for ids in rows]
    for i, ids in zip(merged, text_ids([texts[i] for i in merged], tokenizer), strict=True):
        rows[i] = ids
    return rows


def ids_after_special(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that follow a special token; some tokenizers begin them as they begin a
    document, others do not."""
    if not texts:
        return []
    special = tokenizer.convert_ids_to_tokens(eos_id(tokenizer))
    whole = tokenizer(f"{special}a", add_special_tokens=False)["input_ids"]
    as_document = whole[1:] == text_ids(["a"], tokenizer)[0]
    return (text_ids if as_document else continuation_ids)(texts, tokenizer)


def bos_ids(tokenizer: Any) -> list[int]:
    """What the tokenizer's own encoding puts before a document: the beginning-of-sequence token in
    most that put anything; empty where it puts nothing.

    That a tokenizer names such a token says nothing: those of GPT-2, Qwen and SmolLM2 do and never
    put it there (`add_bos_token: false`), and their models have not seen it before a text.
    """
    (text,) = text_ids(["a"], tokenizer)
    whole = tokenizer("a")["input_ids"]
    places = range(len(whole) - len(text) + 1)
    return whole[: next((i for i in places if whole[i : i + len(text)] == text), 0)]


def prefix_id(tokenizer: Any) -> int:
    """What the first token of a document is predicted from where something has to stand before it:
    what the tokenizer puts there, or the token that it names for it, or the end of another
    document. The same as `prefix_token_id` of lm-evaluation-harness."""
    named = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    return [eos_id(tokenizer), *named, *bos_ids(tokenizer)][-1]


def eos_id(tokenizer: Any) -> int:
    """The id that ends every document. Raises UserError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"The tokenizer {tokenizer.name_or_path or '(unnamed)'} has no end-of-sequence token, "
            "so a model could not be trained to end an answer. Set eos_token in its "
            "tokenizer_config.json, or choose another model in config.yaml."
        )
    return tokenizer.eos_token_id


def pad_id(tokenizer: Any) -> int:
    """The id of padding: pad if it is not eos, otherwise unk, and eos if there is neither.

    Which one matters little: padding is masked by label and position, never by id, so no token of
    a document is masked for its id.
    """
    eos = eos_id(tokenizer)
    candidates = (tokenizer.pad_token_id, tokenizer.unk_token_id)
    return next((i for i in candidates if i is not None and i != eos), eos)
