"""Conversations, rendered with a model's own chat template.

Special tokens of the template become ids, and the same characters in a record stay text: they are
escaped before the template is rendered, and unescaped once its special tokens are split off.

Templates differ in what they leave out. Where there is no system role (the template refuses it or
drops it without a message), the system prompt stands before the first user's message, as Mistral's
own encoder has it. Whatever a template writes between the prompt and the answer belongs to both
training and generation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens.prompts import Messages

Pieces = list[str | int]
"""Text to tokenize, and ids of the special tokens that the template wrote."""

_PROBE, _ANSWER = "Is this a question?", "This is the answer."
_ESCAPE = "\ue000"  # of the private use area; one in a record is escaped like a special token
MARK = "\ue001"
"""Around what is written into a text to find a place in it again; escaped in a record, too."""


@dataclass(frozen=True)
class Ending:
    """What the template writes around an answer.

    opening: the end of the prompt, written only before a real answer. before, after: text around
    the answer that is supervised with it, such as a space. stop: id of the token that ends the
    answer; None: the tokenizer's end of sequence.
    """

    opening: str
    before: str
    after: str
    stop: int | None


def pieces(messages: Messages, tokenizer: Any) -> Pieces:
    """A conversation up to the beginning of the answer.

    Raises UserError if the tokenizer has no chat template, or one that cannot take the messages.
    """
    template, specials = template_of(tokenizer), special_ids(tokenizer)
    if messages[0][0] == "system" and not has_system_role(tokenizer, template):
        messages = _fold_system_prompt(messages)
    escaped = [(role, escape(text, specials)) for role, text in messages]
    text = _render(escaped, tokenizer) + ending(tokenizer).opening
    return [
        unescape(piece, specials) if isinstance(piece, str) else piece
        for piece in _split_special(text, tokenizer, specials)
    ]


def readable(messages: Messages, tokenizer: Any) -> str:
    """The same as one text with its special tokens, for people: never to be tokenized."""
    names = {id_: content for content, id_ in special_ids(tokenizer).items()}
    return "".join(
        piece if isinstance(piece, str) else names[piece] for piece in pieces(messages, tokenizer)
    )


def beginning(tokenizer: Any) -> str:
    """What the template writes where an answer is asked for, from a rendered example."""
    return _beginning(tokenizer, template_of(tokenizer))


def question(tokenizer: Any) -> Messages:
    """What the template is asked about, to see what it writes around an answer: a user's turn,
    behind a system prompt where the template insists on one.

    Raises UserError where it refuses both.
    """
    return _question(tokenizer, template_of(tokenizer))


@lru_cache(maxsize=8)
def _question(tokenizer: Any, template: str) -> Messages:
    asked = (("user", _PROBE),)
    try:
        _apply(asked, tokenizer)
    except Exception:  # the template is a program that comes with the model
        with_system = (("system", "Answer."), *asked)
        _render(with_system, tokenizer)
        return with_system
    return asked


@lru_cache(maxsize=8)
def _beginning(tokenizer: Any, template: str) -> str:
    question = _question(tokenizer, template)
    asked, plain = _render(question, tokenizer), _render(question, tokenizer, answer=True)
    alike = next((i for i, (a, b) in enumerate(zip(asked, plain, strict=False)) if a != b), None)
    common = min(len(asked), len(plain)) if alike is None else alike
    # Two special tokens that differ may begin alike.
    for text in (asked, plain):
        pieces = stretches(text, tokenizer, special_ids(tokenizer))
        inside = (start for start, end, id_ in pieces if id_ is not None and start < common < end)
        common = next(inside, common)
    return asked[common:]


def variables(tokenizer: Any) -> dict[str, Any]:
    """What a template sees beside the messages and the tools."""
    # Llama's templates write the date; it would differ from one job of a run to the next.
    return {**tokenizer.special_tokens_map, "date_string": "26 Jul 2024"}


def ending(tokenizer: Any) -> Ending:
    """What the template writes around an answer, from a rendered example."""
    return _ending(tokenizer, template_of(tokenizer))


@lru_cache(maxsize=8)
def _ending(tokenizer: Any, template: str) -> Ending:
    question = _question(tokenizer, template)
    prompt = _render(question, tokenizer)
    conversation = _render([*question, ("assistant", _ANSWER)], tokenizer, answer=True)
    if _PROBE not in prompt or _ANSWER not in conversation:
        raise UserError(
            f"The chat template of {name(tokenizer)} leaves out the content of a message. Remove "
            "`chat` from the task, or choose another model."
        )
    head, _, tail = conversation.partition(_ANSWER)
    between = head.removeprefix(prompt) if head.startswith(prompt) else ""
    before = between[len(between.rstrip()) :]
    rest = _split_special(tail, tokenizer, special_ids(tokenizer))
    after = rest[0] if rest and isinstance(rest[0], str) else ""
    stop = next((piece for piece in rest if isinstance(piece, int)), None)
    # Without a token that ends the turn, the rest belongs to the next one.
    return Ending(between.rstrip(), before, after if stop is not None else "", stop)


@lru_cache(maxsize=8)
def has_system_role(tokenizer: Any, template: str) -> bool:
    try:
        return _PROBE in _apply([("system", _PROBE), ("user", "Hello.")], tokenizer)
    except Exception:  # the template is a program that comes with the model
        return False


def _fold_system_prompt(messages: Messages) -> Messages:
    """The system prompt as the beginning of the first user's message."""
    (_, system), (role, text), *rest = messages
    return ((role, f"{system}\n\n{text}"), *rest)


def template_of(tokenizer: Any) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer {name(tokenizer)} has no chat template, which conversations need. "
            "Remove `chat` from an instruct task, for a prompt without a template, or choose a "
            "chat model (its tokenizer_config.json has a chat_template)."
        )
    return tokenizer.get_chat_template()


def _render(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    try:
        return _apply(messages, tokenizer, answer)
    except Exception as error:
        raise UserError(
            f"The chat template of {name(tokenizer)} refuses a conversation of "
            f"{', '.join(role for role, _ in messages)}: {error}. Remove `chat` from the task, or "
            "choose another model."
        ) from error


def _apply(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    return tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in messages],
        tokenize=False,
        add_generation_prompt=not answer,
        **variables(tokenizer),
    )


def name(tokenizer: Any) -> str:
    return tokenizer.name_or_path or "(unnamed)"


# ---------------------------------------------------------------- special tokens


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Special token -> id."""
    return {
        token.content: id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special
    }


@lru_cache(maxsize=8)
def _pattern(contents: tuple[str, ...]) -> re.Pattern[str]:
    """Any of them, the longest where one begins with another; nothing where there are none."""
    longest_first = sorted(contents, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def escape(text: str, specials: Mapping[str, int]) -> str:
    order = (_ESCAPE, MARK, *specials)
    return _pattern(order).sub(lambda m: f"{_ESCAPE}{order.index(m.group())}{_ESCAPE}", text)


def unescape(text: str, specials: Mapping[str, int]) -> str:
    order = (_ESCAPE, MARK, *specials)
    return re.sub(f"{_ESCAPE}(\\d+){_ESCAPE}", lambda m: order[int(m.group(1))], text)


def _split_special(text: str, tokenizer: Any, specials: Mapping[str, int]) -> Pieces:
    """The text split at its special tokens, spaces stripped where a token strips them."""
    return [
        text[start:end] if id_ is None else id_
        for start, end, id_ in stretches(text, tokenizer, specials)
    ]


def stretches(
    text: str, tokenizer: Any, specials: Mapping[str, int]
) -> list[tuple[int, int, int | None]]:
    """(start, end, id) of each special token in a text, and of what is between them, id None.

    Spaces that a token strips are in none of them.
    """
    parts: list[tuple[int, int, int | None]] = []
    start, strips = 0, False
    for match in _pattern(tuple(specials)).finditer(text):
        id_ = specials[match.group()]
        token = tokenizer.added_tokens_decoder[id_]
        parts.append(_stripped(text, start, match.start(), strips, token.lstrip))
        parts.append((*match.span(), id_))
        start, strips = match.end(), token.rstrip
    parts.append(_stripped(text, start, len(text), strips, False))
    return [part for part in parts if part[0] < part[1]]


def _stripped(text: str, start: int, end: int, left: bool, right: bool) -> tuple[int, int, None]:
    if left:
        start = end - len(text[start:end].lstrip())
    if right:
        end = start + len(text[start:end].rstrip())
    return start, end, None
