"""Token ids as the text that each of them stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deltatune.core.text import REPLACEMENT
from deltatune.tokens.ids import text_ids

_LONGEST = 4
"""Bytes of a character in UTF-8, and so the tokens that may have a part of it."""


@dataclass(frozen=True)
class Token:
    text: str
    """Its text, with the space that belongs to it; of a special token its name."""
    count: int = 1
    """Tokens that it stands for: several where only all of them make a character."""
    special: bool = False


def tokens(ids: Sequence[int], tokenizer: Any) -> list[Token]:
    """The tokens of a part of a row, one after the other; their texts joined are the text.

    A character may be spread over several tokens, which are then shown as one; of one that is cut
    the text is U+FFFD. So are tokens behind a U+FFFD in the text itself, up to four of them.
    """
    names = {i: token.content for i, token in tokenizer.added_tokens_decoder.items()
             if token.special}  # fmt: skip
    # Many tokenizers drop the space of a text's first token: each is decoded behind another.
    anchor = text_ids(["a"], tokenizer)[0]
    shown: list[Token] = []
    before, waiting = anchor, []
    for place, number in enumerate(ids):
        if number in names:
            shown.append(Token(names[number], special=True))
            before = anchor
            continue
        waiting = [*waiting, number]
        text = _text(before, waiting, tokenizer)
        is_last = place + 1 == len(ids) or ids[place + 1] in names
        if text.endswith(REPLACEMENT) and len(waiting) < _LONGEST and not is_last:
            continue
        shown.append(Token(text, len(waiting)))
        before, waiting = (anchor if text.endswith(REPLACEMENT) else waiting), []
    return shown


def _text(before: Sequence[int], ids: Sequence[int], tokenizer: Any) -> str:
    """The text that ids add behind others."""
    start, whole = (
        tokenizer.decode([*part], clean_up_tokenization_spaces=False)
        for part in (before, [*before, *ids])
    )
    if whole.startswith(start):
        return whole[len(start) :]
    return "".join(tokenizer.convert_ids_to_tokens([*ids]))
