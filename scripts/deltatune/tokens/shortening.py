"""A prompt that is too long for its row: the middle of the record's text gives way."""

from __future__ import annotations

from typing import Any

from deltatune.tokens.ids import text_ids
from deltatune.tokens.prompts import Body


def shortened(
    ids: list[int], prompt: str, body: Body | None, room: int, tokenizer: Any
) -> list[int]:
    """At most `room` ids of a prompt.

    ids: all of it, without a beginning-of-sequence token. body: where in the prompt the text of
    the record stands: tokens from its middle are left out, so that its beginning, its end and the
    template around it stay. The first tokens go instead without a body, and where even the template
    alone is too long.
    """
    if len(ids) <= room:
        return ids
    if body is None:
        return ids[len(ids) - room :]
    start, end = body
    # Tokens are compared, not counted: at the border of the text one may be of both.
    before, after = text_ids([prompt[:start], prompt[end:]], tokenizer)
    head = _common(ids, before)
    tail = _common(ids[head:][::-1], after[::-1])
    left = room - head - tail
    if left < 0:
        around = ids[:head] + ids[len(ids) - tail :]
        return around[len(around) - room :]
    first_part = head + (left + 1) // 2
    return ids[:first_part] + ids[len(ids) - tail - left // 2 :]


def _common(one: list[int], other: list[int]) -> int:
    """How many ids both begin with."""
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
