"""Conversations, written out in the form of a model's own chat template.

What the template writes and what stands in a record are kept apart: a special token of the
template becomes its id, and the same characters in a record stay text. Which of the two it is, is
told by hiding such characters of the record from the template until it has been cut.

Templates differ in what they leave out, and each gap is closed in one place here. Where there is
no system role (the template refuses it or drops it without a word), the system prompt stands
before the first user's text, as Mistral's own encoder has it. Whatever a template writes between
the prompt and the answer belongs to both training and generation.
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
"""Text to be spelt out, and ids of the special tokens that the template wrote."""

_PROBE, _ANSWER = "Is this a question?", "This is the answer."
_HIDE = "\ue000"  # of the private use area; one in a record is hidden like a special token


@dataclass(frozen=True)
class Ending:
    """How the template goes on from a prompt.

    opening: the end of the prompt, written only before a real answer. before, after: text around
    the answer that is learnt with it, such as a space. stop: id of the token that ends the answer;
    None: the tokenizer's end of sequence.
    """

    opening: str
    before: str
    after: str
    stop: int | None


def pieces(messages: Messages, tokenizer: Any) -> Pieces:
    """A conversation up to the place where the answer begins.

    Raises UserError if the tokenizer has no chat template, or one that cannot take the messages.
    """
    template, specials = _template(tokenizer), _specials(tokenizer)
    if messages[0][0] == "system" and not _has_system_role(tokenizer, template):
        messages = _folded(messages)
    hidden = [(role, _hide(text, specials)) for role, text in messages]
    text = _render(hidden, tokenizer)
    return [
        _unhide(piece, specials) if isinstance(piece, str) else piece
        for piece in _cut(text + ending(tokenizer).opening, tokenizer, specials)
    ]


def readable(messages: Messages, tokenizer: Any) -> str:
    """The same as one text, special tokens written out: to be read, never to be tokenized."""
    names = {id_: content for content, id_ in _specials(tokenizer).items()}
    return "".join(
        piece if isinstance(piece, str) else names[piece] for piece in pieces(messages, tokenizer)
    )


def ending(tokenizer: Any) -> Ending:
    """What the template writes around an answer, found by giving it one."""
    return _ending(tokenizer, _template(tokenizer))


@lru_cache(maxsize=8)
def _ending(tokenizer: Any, template: str) -> Ending:
    question = [("user", _PROBE)]
    asked = _render(question, tokenizer)
    answered = _render([*question, ("assistant", _ANSWER)], tokenizer, answer=True)
    if _PROBE not in asked or _ANSWER not in answered:
        raise UserError(
            f"The chat template of {_name(tokenizer)} leaves out what it is given to say. Take "
            "`chat` out of the task, or choose another model."
        )
    head, _, tail = answered.partition(_ANSWER)
    between = head.removeprefix(asked) if head.startswith(asked) else ""
    before = between[len(between.rstrip()) :]
    rest = _cut(tail, tokenizer, _specials(tokenizer))
    after = rest[0] if rest and isinstance(rest[0], str) else ""
    stop = next((piece for piece in rest if isinstance(piece, int)), None)
    # Without a token that ends the turn, what follows is only the beginning of the next one.
    return Ending(between.rstrip(), before, after if stop is not None else "", stop)


@lru_cache(maxsize=8)
def _has_system_role(tokenizer: Any, template: str) -> bool:
    try:
        return _PROBE in _apply([("system", _PROBE), ("user", "Hello.")], tokenizer)
    except Exception:  # whatever the template, a program of others, comes to
        return False


def _folded(messages: Messages) -> Messages:
    (_, system), (role, text), *rest = messages
    return ((role, f"{system}\n\n{text}"), *rest)


def _template(tokenizer: Any) -> str:
    if not tokenizer.chat_template:
        raise UserError(
            f"The tokenizer {_name(tokenizer)} has no chat template, which `chat` in the task "
            "needs. Take `chat` out, so that the prompt is given as it is, or choose a model that "
            "was made to chat (its tokenizer_config.json has a chat_template)."
        )
    return tokenizer.get_chat_template()


def _render(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    try:
        return _apply(messages, tokenizer, answer)
    except Exception as error:
        raise UserError(
            f"The chat template of {_name(tokenizer)} refuses a conversation of "
            f"{', '.join(role for role, _ in messages)}: {error}. Take `chat` out of the task, or "
            "choose another model."
        ) from error


def _apply(messages: Messages, tokenizer: Any, answer: bool = False) -> str:
    return tokenizer.apply_chat_template(
        [{"role": role, "content": text} for role, text in messages],
        tokenize=False,
        add_generation_prompt=not answer,
        # Llama's templates write the day; it would differ from one job of a run to the next.
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


def _hide(text: str, specials: Mapping[str, int]) -> str:
    order = (_HIDE, *specials)
    return _pattern(order).sub(lambda m: f"{_HIDE}{order.index(m.group())}{_HIDE}", text)


def _unhide(text: str, specials: Mapping[str, int]) -> str:
    order = (_HIDE, *specials)
    return re.sub(f"{_HIDE}(\\d+){_HIDE}", lambda m: order[int(m.group(1))], text)


def _cut(text: str, tokenizer: Any, specials: Mapping[str, int]) -> Pieces:
    """The text parted at its special tokens; a token that swallows spaces beside it does so."""
    found: Pieces = []
    start, strips = 0, False
    for match in _pattern(tuple(specials)).finditer(text):
        token = tokenizer.added_tokens_decoder[specials[match.group()]]
        before = text[start : match.start()]
        before = before.lstrip() if strips else before
        found += [before.rstrip() if token.lstrip else before, specials[match.group()]]
        start, strips = match.end(), token.rstrip
    found.append(text[start:].lstrip() if strips else text[start:])
    return [piece for piece in found if piece != ""]
