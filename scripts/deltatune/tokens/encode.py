"""Documents to packed rows of tokens, with labels on the supervised ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Any, Literal

import numpy as np

from deltatune.core.errors import UserError
from deltatune.data.reasons import Code, Reason
from deltatune.tokens import conversation
from deltatune.tokens.answer_ids import answer_ids, prompt_ids
from deltatune.tokens.cutting import cut_texts
from deltatune.tokens.encoded import Encoded, Packed
from deltatune.tokens.ids import bos_ids, pad_id
from deltatune.tokens.left_out import REASONING, TOOLS
from deltatune.tokens.packing import pack_rows
from deltatune.tokens.prompts import Conversation, Document
from deltatune.tokens.shortening import shortened

TOO_LONG = Reason(Code.LONGER)
NO_ROOM = Reason(Code.NO_ROOM)
NO_TEXT = Reason(Code.NO_TEXT)
NO_TURN = Reason(Code.NO_TURN)
_BATCH = 1000  # documents per call of the tokenizer


def encode(
    documents: Iterable[Document] | Iterable[Conversation],
    tokenizer: Any,
    max_length: int,
    overflow: Literal["truncate", "shorten_prompt", "split", "leave_out_turns", "drop"],
    train_on_prompt: bool = False,
) -> Encoded:
    """Tokenize documents as [bos] prompt completion eos, with labels on completion and eos, and on
    the prompt with `train_on_prompt`.

    In a chat the template's own tokens stand around the prompt, and the token that ends a turn
    replaces eos where they differ.

    Prompt and completion are tokenized apart and their ids joined, so that the loss mask is exact.
    Without a prompt all of the text is supervised. The first token of a piece never is, bos or
    not: a causal model predicts it from nothing, or, in a packed row, from the document before.

    A document of more than max_length tokens loses the end of its completion and with it eos. If
    not even one token of the completion fits, it is dropped. With overflow "shorten_prompt" the
    prompt loses tokens instead, see `shortened`, and the completion nothing. With overflow "split"
    a text without a prompt loses nothing instead: it becomes consecutive pieces, each with bos, the
    last with eos and at least one token of the text. Some texts that would fit are split too, if
    rows of whole ones would be more than 2% padding (see cutting.py). With overflow "drop" a
    document of more than max_length tokens is dropped.

    Conversations are tokenized as their template writes them, see `conversation`. With overflow
    "leave_out_turns" one that is too long loses whole turns from its end, and the end of the first
    that is learned. It is dropped if nothing learned is left or the template refuses it.

    Raises UserError if the tokenizer has no end-of-sequence token or max_length is below 3, or its
    template refuses all conversations.
    """
    if overflow not in ("truncate", "shorten_prompt", "split", "leave_out_turns", "drop"):
        raise ValueError(f"overflow is of no known way: {overflow!r}")
    if max_length < 3:
        raise UserError(f"max_length: {max_length} tokens cannot hold a document; use 3 or more.")
    encoded = Encoded(pad_id=pad_id(tokenizer))
    remaining = iter(documents)
    one = list(islice(remaining, 1))
    documents = chain(one, remaining)
    if one and isinstance(one[0], Conversation):
        return _conversations(documents, tokenizer, max_length, overflow == "drop", encoded)
    return _prompted(documents, tokenizer, max_length, overflow, train_on_prompt, encoded)


def _prompted(
    documents: Iterable[Document],
    tokenizer: Any,
    max_length: int,
    overflow: str,
    train_on_prompt: bool,
    encoded: Encoded,
) -> Encoded:
    bos = bos_ids(tokenizer)
    texts = []  # pieces that may be split
    for number, (document, prompt, answer) in enumerate(_tokenized(documents, tokenizer)):
        encoded.documents += 1
        is_prompted, size = len(prompt) > len(bos), len(prompt) + len(answer)
        if not is_prompted and len(answer) == 1:
            encoded.dropped.append((number, NO_TEXT))
            continue
        if size > max_length:
            encoded.too_long[number] = size
            if overflow == "drop":
                encoded.dropped.append((number, TOO_LONG))
                continue
        if not is_prompted and overflow == "split":
            texts.append(len(encoded.sources))
        elif overflow == "shorten_prompt" and len(bos) + len(answer) < max_length:
            room = max_length - len(bos) - len(answer)
            if len(prompt) - len(bos) > room:
                encoded.truncated.append(number)
                asked = prompt[len(bos) :]
                prompt = [*bos, *shortened(asked, document.prompt, document.body, room, tokenizer)]
        elif len(prompt) >= max_length:
            encoded.dropped.append((number, NO_ROOM))
            continue
        elif size > max_length:
            encoded.truncated.append(number)
            answer = answer[: max_length - len(prompt)]
        encoded.add(number, prompt, answer, 1 if train_on_prompt else len(prompt))
    return _split(encoded, texts, max_length, len(bos)) if texts else encoded


def pack(encoded: Encoded, max_length: int, packing: bool = True) -> Packed:
    """Pieces in rows of one length, at most max_length. Pieces longer than that raise ValueError.
    Without `packing` each piece has a row of its own, of the length of the longest."""
    sizes = encoded.sizes
    if packing:
        rows, length = pack_rows(sizes, max_length)
    else:
        rows, length = [[piece] for piece in range(len(sizes))], int(max(sizes, default=0))
    pieces = np.fromiter(chain.from_iterable(rows), np.int64, len(encoded.sources))
    per_row = np.fromiter(map(len, rows), np.int64, len(rows))
    row_of = np.repeat(np.arange(len(rows)), per_row)
    return Packed(encoded, len(rows), length, pieces, row_of, is_padded=packing)


def summary(encoded: Encoded, packed: Packed) -> dict[str, Any]:
    """Counts for a manifest; documents are numbered from 0 in their order. Rows of `packing` alone
    are saved with padding."""
    rows, length = packed.rows, packed.length
    tokens = len(encoded.tokens)
    return {
        "documents": encoded.documents,
        "pieces": len(encoded.sources),
        "split": len(encoded.split),
        "truncated": len(encoded.truncated),
        "too_long": len(encoded.too_long),
        "turns_left_out": encoded.turns_left_out,
        "without_reasoning": encoded.without_reasoning,
        "without_tools": encoded.without_tools,
        "dropped": len(encoded.dropped),
        "truncated_documents": encoded.truncated,
        "dropped_documents": [
            {"document": n, "code": why.code, "reason": str(why)} for n, why in encoded.dropped
        ],
        "rows": rows,
        "row_length": length,
        "tokens": tokens,
        "supervised_tokens": encoded.learned.count(1),
        "padding_share": 1 - tokens / (rows * length) if rows and packed.is_padded else 0.0,
    }


def _tokenized(
    documents: Iterable[Document], tokenizer: Any
) -> Iterator[tuple[Document, list[int], list[int]]]:
    """(document, ids of its prompt, bos first, ids of its answer, eos last) of each document."""
    remaining = iter(documents)
    while batch := list(islice(remaining, _BATCH)):
        prompts = [document.prompt for document in batch]
        answers = answer_ids(prompts, [document.completion for document in batch], tokenizer)
        yield from zip(batch, prompt_ids(prompts, tokenizer), answers, strict=True)


def _conversations(
    documents: Iterable[Conversation],
    tokenizer: Any,
    max_length: int,
    drops: bool,
    encoded: Encoded,
) -> Encoded:
    """drops: leave out those that are too long."""
    remaining = iter(documents)
    refused = 0
    while batch := list(islice(remaining, _BATCH)):
        for document, tokens in zip(batch, conversation.try_encode(batch, tokenizer), strict=True):
            number, kept = encoded.documents, document
            encoded.documents += 1
            if isinstance(tokens, conversation.Refused):
                reason = Reason(Code.TEMPLATE_REFUSES, value=str(tokens))
                encoded.dropped.append((number, reason))
                refused += 1
                continue
            is_long = len(tokens.ids) > max_length
            if is_long:
                encoded.too_long[number] = len(tokens.ids)
                if drops:
                    encoded.dropped.append((number, TOO_LONG))
                    continue
                kept, tokens = _shorter(document, tokenizer, max_length)
            ids, learned = tokens.ids[:max_length], tokens.learned[:max_length]
            if not any(learned):
                encoded.dropped.append((number, NO_TURN))
                continue
            if is_long:
                encoded.truncated.append(number)
                encoded.turns_left_out += len(document.turns) - len(kept.turns)
            encoded.without_reasoning += REASONING in tokens.left_out
            encoded.without_tools += TOOLS in tokens.left_out
            encoded.add_masked(number, ids, learned)
    if encoded.documents and refused == encoded.documents:
        raise UserError(
            f"Of all {refused:,} conversations {encoded.dropped[0][1]}. Choose another model, or "
            "bring the conversations into the form that it takes."
        )
    return encoded


def _shorter(
    document: Conversation, tokenizer: Any, max_length: int
) -> tuple[Conversation, conversation.Tokens]:
    """The most turns that fit, by bisection: the first that is learned at least, fit or not; no
    tokens where the template refuses that."""
    ends = [number + 1 for number, turn in enumerate(document.turns) if turn.learned]
    best = document, conversation.Tokens()
    low, high = 0, len(ends) - 1
    while low <= high:
        middle = (low + high) // 2
        tried = replace(document, turns=document.turns[: ends[middle]])
        (tokens,) = conversation.try_encode([tried], tokenizer)
        is_refused = isinstance(tokens, conversation.Refused)
        if not is_refused and (middle == 0 or len(tokens.ids) <= max_length):
            best, low = (tried, tokens), middle + 1
        else:
            high = middle - 1
    return best


def _split(encoded: Encoded, texts: list[int], max_length: int, overhead: int) -> Encoded:
    """Cut the pieces numbered in `texts`; overhead: tokens (bos) that each piece begins with."""
    sizes = cut_texts(encoded.sizes[texts].tolist(), max_length, overhead)
    cuts = dict(zip(texts, sizes, strict=True))
    split = encoded.without_pieces()
    for piece, number in enumerate(encoded.sources):
        ids, learned = encoded.piece(piece)
        start = overhead
        for size in cuts.get(piece, [len(ids)]):
            stop = start + size - overhead
            split.add_masked(
                number, ids[:overhead] + ids[start:stop], learned[:overhead] + learned[start:stop]
            )
            start = stop
        if len(cuts.get(piece, ())) > 1:
            split.split.append(number)
    return split
