"""Prompts and answers, conversations among them, to token ids.

Apart from `ids`, so that what tokenizes text alone does not depend on chat templates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deltatune.tokens import chat, conversation
from deltatune.tokens.ids import (
    bos_ids,
    continuation_ids,
    eos_id,
    ids_after_special,
    text_ids,
)
from deltatune.tokens.prompts import Conversation, Prompt

#: How an answer is decoded: some tokenizers that are not BPE would take the spaces out of " ," and
#: "do n't", which the reference keeps.
DECODING = {"skip_special_tokens": True, "clean_up_tokenization_spaces": False}


def prompt_ids(prompts: Sequence[Prompt], tokenizer: Any) -> list[list[int]]:
    """Ids of prompts with what the tokenizer puts before a document first, see `bos_ids`.

    It stands there once, whether or not a chat template writes it, which may begin with more.
    """
    bos = bos_ids(tokenizer)
    chats = [i for i, prompt in enumerate(prompts) if isinstance(prompt, tuple)]
    turns = [i for i, prompt in enumerate(prompts) if isinstance(prompt, Conversation)]
    texts = [prompt if isinstance(prompt, str) else "" for prompt in prompts]
    prompt_rows = [bos + ids for ids in text_ids(texts, tokenizer)]
    chat_rows = _chat_ids([chat.pieces(prompts[i], tokenizer) for i in chats], tokenizer)
    for i, ids in zip(chats, chat_rows, strict=True):
        prompt_rows[i] = ids if ids[: len(bos)] == bos else bos + ids
    for i, tokens in zip(
        turns, conversation.encode([prompts[i] for i in turns], tokenizer), strict=True
    ):
        prompt_rows[i] = tokens.ids
    return prompt_rows


def answer_ids(
    prompts: Sequence[Prompt], answers: Sequence[str], tokenizer: Any
) -> list[list[int]]:
    """Ids of the answer to each prompt, with the token that ends it.

    Prompt and answer make one sequence of ids. Without a prompt the answer is a document of its
    own.
    """
    rows: list[list[int]] = [[] for _ in answers]
    encoders = [_answer_encoder(prompt) for prompt in prompts]
    for encoder in dict.fromkeys(encoders):
        places = [i for i, each in enumerate(encoders) if each is encoder]
        # Labels are few, and each is the answer to many prompts.
        distinct = list(dict.fromkeys(answers[i] for i in places))
        ids_of = dict(zip(distinct, encoder(distinct, tokenizer), strict=True))
        stop = stop_id(prompts[places[0]], tokenizer)
        for i in places:
            rows[i] = [*ids_of[answers[i]], stop]
    return rows


def _answer_encoder(prompt: Prompt) -> Callable[[Sequence[str], Any], list[list[int]]]:
    if not isinstance(prompt, str):
        return _chat_answer_ids
    return continuation_ids if prompt else text_ids


def stop_id(prompt: Prompt, tokenizer: Any) -> int:
    """The id that ends an answer: of a turn where the chat template has one, or of a document."""
    token = None if isinstance(prompt, str) else chat.ending(tokenizer).stop
    return eos_id(tokenizer) if token is None else token


def text_behind(prompt: Prompt, tokenizer: Any) -> str:
    """What a chat template writes between an answer and the token that ends it."""
    return "" if isinstance(prompt, str) else chat.ending(tokenizer).after


def refusal(prompt: Prompt, tokenizer: Any) -> str | None:
    """Why the chat template does not take a conversation; None where it does, or is none."""
    if isinstance(prompt, Conversation):
        return conversation.refusal(prompt, tokenizer)
    return None


def readable(prompt: Prompt, tokenizer: Any) -> str:
    """The prompt as a person reads it, special tokens of a chat template written out."""
    if isinstance(prompt, Conversation):
        return conversation.readable(prompt, tokenizer)
    return prompt if isinstance(prompt, str) else chat.readable(prompt, tokenizer)


def _chat_ids(conversations: Sequence[chat.Pieces], tokenizer: Any) -> list[list[int]]:
    """Ids of conversations: special tokens by id, each text between them tokenized at once."""
    openings = [c[0] if c and isinstance(c[0], str) else "" for c in conversations]
    texts = [piece for c in conversations for piece in c[1:] if isinstance(piece, str)]
    opening_ids = iter(text_ids(openings, tokenizer))
    following_ids = iter(ids_after_special(texts, tokenizer))
    rows = []
    for pieces in conversations:
        ids = list(next(opening_ids))
        for place, piece in enumerate(pieces):
            if not isinstance(piece, str):
                ids.append(piece)
            elif place:
                ids += next(following_ids)
        rows.append(ids)
    return rows


def _chat_answer_ids(answers: Sequence[str], tokenizer: Any) -> list[list[int]]:
    if not answers:
        return []
    ending = chat.ending(tokenizer)
    prompt = chat.pieces(chat.question(tokenizer), tokenizer)
    encode = continuation_ids if isinstance(prompt[-1], str) else ids_after_special
    return encode([f"{ending.before}{text}{ending.after}" for text in answers], tokenizer)
