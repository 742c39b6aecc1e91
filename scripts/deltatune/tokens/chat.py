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
    template, specials = _template(tokenizer), _specials(tokenizer)
    if messages[0][0] == "system" and not _has_system_role(tokenizer, template):
        messages = _fold_system_prompt(messages)
    escaped = [(role, _escape(text, specials)) for role, text in messages]
    text = _render(escaped, tokenizer) + ending(tokenizer).opening
    return [
        _unescape(piece, specials) if isinstance(piece, str) else piece
        for piece in _split_special(text, tokenizer, specials)
    ]


def readable(messages: Messages, tokenizer: Any) -> str:
    """The same as one text with its special tokens, for people: never to be tokenized."""
    names = {id_: content for content, id_ in _specials(tokenizer).items()}
    return "".join(
        piece if isinstance(piece, str) else names[piece] for piece in pieces(messages, tokenizer)
    )


def ending(tokenizer: Any) -> Ending:
    """What the template writes around an answer, from a rendered example."""
    return _ending(tokenizer, _template(tokenizer))


@lru_cache(maxsize=8)
def _ending(tokenizer: Any, template: str) -> Ending:
    question = [("user", _PROBE)]
    prompt = _render(question, tokenizer)
    conversation = _render([*question, ("assistant", _ANSWER)], tokenizer, answer=True)
    if _PROBE not in prompt or _ANSWER not in conversation:
        raise UserError(
            f"The chat template of {_name(tokenizer)} leaves out the content of a message. Remove "
            "`chat` from the task, or choose another model."
        )
    head, _, tail = conversation.partition(_ANSWER)
    between = head.removeprefix(prompt) if head.startswith(prompt) else ""
    before = between[len(between.rstrip()) :]
    rest = _split_special(tail, tokenizer, _specials(tokenizer))
    after = rest[0] if rest and isinstance(rest[0], str) else ""
    stop = next((piece for piece in rest if isinstance(piece, int)), None)
    # Without a token that ends the turn, the rest belongs to the next one.
    return Ending(between.rstrip(), before, after if stop is not None else "", stop)


@lru_cache(maxsize=8)
def _has_system_role(tokenizer: Any, template: str) -> bool:
    try:
        return _PROBE in _apply([("system", _PROBE), ("user", "Hello.")], tokenizer)
    except Exception:  # the template is a program that comes with the model
        return False


def _fold_system_prompt(messages: Messages) -> Messages:
    """The system prompt as the beginning of the first user's message."""
    (_, system), (role, text), *rest = messages
    return ((role, f"{system}\n\n{text}"), *rest)


def _template(tokenizer: Any) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer {_name(tokenizer)} has no chat template, which `chat` in the task "
            "needs. Remove `chat`, for a prompt without a template, or choose a chat model (its "
            "tokenizer_config.json has a chat_template)."
        )
    return tokenizer.get_chat_template()


def _render(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    try:
        return _apply(messages, tokenizer, answer)
    except Exception as error:
        raise UserError(
            f"The chat template of {_name(tokenizer)} refuses a conversation of "
            f"{', '.join(role for role, _ in messages)}: {error}. Remove `chat` from the task, or "
            "choose another model."
        ) from error


def _apply(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    return tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in messages],
        tokenize=False,
        add_generation_prompt=not answer,
        # Llama's templates write the date; it would differ from one job of a run to the next.
        date_string="26 Jul 2024",
    )


def _name(tokenizer: Any) -> str:
    return tokenizer.name_or_path or "(unnamed)"


# ---------------------------------------------------------------- special tokens


def _specials(tokenizer: Any) -> dict[str, int]:
    """Special token -> id."""
    return {
        token.content: id_ for id_, token in tokenizer.added_tokens_decoder.items() if token.special
    }


@lru_cache(maxsize=8)
def _pattern(contents: tuple[str, ...]) -> re.Pattern[str]:
    """Any of them, the longest where one begins with another; nothing where there are none."""
    longest_first = sorted(contents, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")


def _escape(text: str, specials: Mapping[str, int]) -> str:
    order = (_ESCAPE, *specials)
    return _pattern(order).sub(lambda m: f"{_ESCAPE}{order.index(m.group())}{_ESCAPE}", text)


def _unescape(text: str, specials: Mapping[str, int]) -> str:
    order = (_ESCAPE, *specials)
    return re.sub(f"{_ESCAPE}(\\d+){_ESCAPE}", lambda m: order[int(m.group(1))], text)


def _split_special(text: str, tokenizer: Any, specials: Mapping[str, int]) -> Pieces:
    """The text split at its special tokens, spaces stripped where a token strips them."""
    parts: Pieces = []
    start, strips = 0, False
    for match in _pattern(tuple(specials)).finditer(text):
        token = tokenizer.added_tokens_decoder[specials[match.group()]]
        before = text[start : match.start()]
        before = before.lstrip() if strips else before
        parts += [before.rstrip() if token.lstrip else before, specials[match.group()]]
        start, strips = match.end(), token.rstrip
    parts.append(text[start:].lstrip() if strips else text[start:])
    return [part for part in parts if part != ""]
