"""From text to token ids, in the one way that training, generation and scoring share.

Special tokens are added by id and never read out of text: a record that happens to contain "</s>"
is spelt out in ordinary pieces, so that it can neither end a document nor begin one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens import chat
from deltatune.tokens.prompts import Prompt


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
    the text is tokenized behind a line break, whose ids are then taken away; a text that merges
    with the line break is tokenized as it is.
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


def prompt_ids(prompts: Sequence[Prompt], tokenizer: Any) -> list[list[int]]:
    """Ids of prompts with the beginning-of-sequence token first, if the tokenizer has one.

    It stands there once, whether or not a chat template writes it.
    """
    bos = bos_ids(tokenizer)
    chats = [i for i, prompt in enumerate(prompts) if not isinstance(prompt, str)]
    texts = [prompt if isinstance(prompt, str) else "" for prompt in prompts]
    found = [bos + ids for ids in text_ids(texts, tokenizer)]
    written = _chat_ids([chat.pieces(prompts[i], tokenizer) for i in chats], tokenizer)
    for i, ids in zip(chats, written, strict=True):
        found[i] = ids if ids[: len(bos)] == bos else bos + ids
    return found


def answer_ids(
    prompts: Sequence[Prompt], answers: Sequence[str], tokenizer: Any
) -> list[list[int]]:
    """Ids of what a model should say after each prompt, with the token that ends it.

    Behind the ids of the prompt they are what the model reads. Without a prompt the answer is a
    document of its own.
    """
    found: list[list[int]] = [[] for _ in answers]
    kinds = [not prompt if isinstance(prompt, str) else None for prompt in prompts]
    for kind, encode in ((True, text_ids), (False, continuation_ids), (None, _chat_answer_ids)):
        places = [i for i, one in enumerate(kinds) if one is kind]
        for i, ids in zip(places, encode([answers[i] for i in places], tokenizer), strict=True):
            found[i] = [*ids, stop_id(prompts[i], tokenizer)]
    return found


def stop_id(prompt: Prompt, tokenizer: Any) -> int:
    """The id that ends an answer: of a turn where the chat template has one, or of a document."""
    token = None if isinstance(prompt, str) else chat.ending(tokenizer).stop
    return eos_id(tokenizer) if token is None else token


def readable(prompt: Prompt, tokenizer: Any) -> str:
    """The prompt as a person reads it, special tokens of a chat template written out."""
    return prompt if isinstance(prompt, str) else chat.readable(prompt, tokenizer)


def _chat_ids(parted: Sequence[chat.Pieces], tokenizer: Any) -> list[list[int]]:
    """Ids of conversations: special tokens by id, the text between them as one stretch each."""
    first = [p[0] if p and isinstance(p[0], str) else "" for p in parted]
    rest = [piece for p in parted for piece in p[1:] if isinstance(piece, str)]
    starts = iter(text_ids(first, tokenizer))
    behind = iter(_behind_special(rest, tokenizer))
    found = []
    for some in parted:
        ids = list(next(starts))
        for place, piece in enumerate(some):
            if not isinstance(piece, str):
                ids.append(piece)
            elif place:
                ids += next(behind)
        found.append(ids)
    return found


def _chat_answer_ids(answers: Sequence[str], tokenizer: Any) -> list[list[int]]:
    if not answers:
        return []
    ending = chat.ending(tokenizer)
    prompt = chat.pieces((("user", "a"),), tokenizer)
    encode = continuation_ids if isinstance(prompt[-1], str) else _behind_special
    return encode([f"{ending.before}{text}{ending.after}" for text in answers], tokenizer)


def _behind_special(texts: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of texts that follow a special token; some tokenizers begin them as they begin a
    document, others do not."""
    special = tokenizer.convert_ids_to_tokens(eos_id(tokenizer))
    whole = tokenizer(f"{special}a", add_special_tokens=False)["input_ids"]
    afresh = whole[1:] == text_ids(["a"], tokenizer)[0]
    return (text_ids if afresh else continuation_ids)(texts, tokenizer)


def bos_ids(tokenizer: Any) -> list[int]:
    """What every document begins with: the id of the beginning-of-sequence token, or nothing."""
    return [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]


def eos_id(tokenizer: Any) -> int:
    """The id that ends every document. Raises UserError if the tokenizer has none."""
    if tokenizer.eos_token_id is None:
        raise UserError(
            f"The tokenizer {tokenizer.name_or_path or '(unnamed)'} has no end-of-sequence token, "
            "so a model could not learn where an answer stops. Set eos_token in its "
            "tokenizer_config.json, or choose another model in config.yaml."
        )
    return tokenizer.eos_token_id


def pad_id(tokenizer: Any) -> int:
    """An id to fill rows with: pad if it is not eos, otherwise unk, and eos for want of both.

    Which one matters little: padding is told by its label and its position, never by its id, so
    no token of a document is masked for looking like padding.
    """
    eos = eos_id(tokenizer)
    candidates = (tokenizer.pad_token_id, tokenizer.unk_token_id)
    return next((i for i in candidates if i is not None and i != eos), eos)
