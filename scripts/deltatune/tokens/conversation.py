"""Conversations of any number of turns, tool calls and reasoning among them, to ids and to what of
them is learned.

The text is what the model's own template writes. What is learned of it is a matter of places in
that text: of each turn of the assistant the part from behind what the template writes where an
answer is asked for, to the token that ends the turn. The text is cut at these places before it is
tokenized, as a prompt and its answer are, so that generation sees the ids that were trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.tokens import chat, left_out, turns
from deltatune.tokens.ids import bos_ids, continuation_ids, eos_id, ids_after_special, text_ids
from deltatune.tokens.prompts import Conversation, Turn
from deltatune.tokens.turns import Refused

_REASONING_ENDS = re.compile(r"\s*</think>\s*")
_THOUGHT_BEGINS = re.compile(r"<think>\s*$")
_PROBE = "This is a thought."
_THOUGHT = {"role": "assistant", "content": "So.", "reasoning_content": _PROBE}


class Span(NamedTuple):
    """A part of the text that a template writes, as characters of it."""

    start: int
    end: int
    learned: bool


@dataclass
class Tokens:
    """A tokenized conversation up to the end of the last turn that is learned, or of a prompt."""

    ids: list[int] = field(default_factory=list)
    learned: list[bool] = field(default_factory=list)
    """Of each id."""
    left_out: frozenset[str] = frozenset()
    """What the template does not write of the conversation, see `left_out.beside_turns`."""


def spans(conversation: Conversation, tokenizer: Any) -> tuple[str, list[Span], frozenset[str]]:
    """The text that the template writes, its parts in order, without a gap, and what it lacks, as
    `left_out.beside_turns` says.

    The text has special tokens of the conversation's own texts escaped, see `chat.escape`. Raises
    Refused.
    """
    text, regions, reasoned = _rendered(conversation, tokenizer)
    specials = chat.special_ids(tokenizer)
    left_out.check_turns(conversation, text, regions, specials)
    parts: list[Span] = []

    def add(until: int, learned: bool) -> None:
        start = parts[-1].end if parts else 0
        if start < until:
            parts.append(Span(start, until, learned))

    for turn, region in zip(conversation.turns, regions, strict=True):
        if turn.role != "assistant" or region is None:
            continue
        start, end = _answer(text, region, turn, tokenizer)
        add(start, False)
        thought = next((place for place in reasoned if start <= place < end), None)
        if thought is not None:
            closing = _REASONING_ENDS.match(text, thought)
            add(closing.end() if closing else thought, False)
        add(end, turn.learned)
    add(len(text), False)
    return text, parts, left_out.beside_turns(conversation, text, regions, specials)


def encode(conversations: Sequence[Conversation], tokenizer: Any) -> list[Tokens]:
    """Ids of conversations, bos once. Raises UserError where the template refuses one."""
    encoded = try_encode(conversations, tokenizer)
    for conversation, tokens in zip(conversations, encoded, strict=True):
        if isinstance(tokens, Refused):
            opening = next((t.content for t in conversation.turns if t.role != "system"), "")
            raise UserError(
                f"The chat template of {chat.name(tokenizer)} refuses the conversation that begins "
                f"'{excerpt(opening)}': {tokens}. Leave such records out of the data, or choose "
                "another model."
            )
    return encoded


def try_encode(conversations: Sequence[Conversation], tokenizer: Any) -> list[Tokens | Refused]:
    """Ids of conversations, bos once, or why the template refuses one."""
    texts: dict[Callable, list[str]] = {text_ids: [], ids_after_special: [], continuation_ids: []}
    planned = [_planned(conversation, tokenizer, texts) for conversation in conversations]
    ids = {encoder: iter(encoder(those, tokenizer)) for encoder, those in texts.items()}
    bos = bos_ids(tokenizer)
    encoded: list[Tokens | Refused] = []
    for plan in planned:
        if isinstance(plan, Refused):
            encoded.append(plan)
            continue
        tokens = Tokens(left_out=plan.left_out)
        for value, learned in plan.pieces:
            new = [value] if isinstance(value, int) else next(ids[value])
            tokens.ids += new
            tokens.learned += [learned] * len(new)
        if tokens.ids[: len(bos)] != bos:
            tokens.ids[:0], tokens.learned[:0] = bos, [False] * len(bos)
        encoded.append(tokens)
    return encoded


def readable(conversation: Conversation, tokenizer: Any) -> str:
    """The text as a person reads it, special tokens written out: never to be tokenized."""
    try:
        text, _, _ = spans(conversation, tokenizer)
    except Refused as error:
        return f"({error})"
    return chat.unescape(text, chat.special_ids(tokenizer))


def refusal(conversation: Conversation, tokenizer: Any) -> str | None:
    """Why the template does not take a conversation; None where it does."""
    try:
        spans(conversation, tokenizer)
    except Refused as error:
        return str(error)
    return None


class _Planned(NamedTuple):
    pieces: list[tuple[int | Callable, bool]]
    """(id, or what makes the next ids of it; whether learned) of each piece."""
    left_out: frozenset[str]


def _planned(
    conversation: Conversation, tokenizer: Any, texts: dict[Callable, list[str]]
) -> _Planned | Refused:
    """The pieces of a conversation.

    texts: what each encoder has to encode, to which the texts of this one are added.
    """
    specials = chat.special_ids(tokenizer)
    try:
        text, parts, lacks = spans(conversation, tokenizer)
    except Refused as error:
        return error
    if not conversation.is_prompt:
        while parts and not parts[-1].learned:
            parts.pop()
    planned: list[tuple[int | Callable, bool]] = []
    pieces = iter(_cut(chat.stretches(text, tokenizer, specials), parts))
    for start, end, id_, learned in pieces:
        if id_ is not None:
            planned.append((id_, learned))
            continue
        if not planned:
            encoder = text_ids
        else:
            encoder = ids_after_special if isinstance(planned[-1][0], int) else continuation_ids
        texts[encoder].append(chat.unescape(text[start:end], specials))
        planned.append((encoder, learned))
    if planned and planned[-1][1] and chat.ending(tokenizer).stop is None:
        planned.append((eos_id(tokenizer), True))
    return _Planned(planned, lacks)


def _cut(
    pieces: Sequence[tuple[int, int, int | None]], parts: Sequence[Span]
) -> list[tuple[int, int, int | None, bool]]:
    """The pieces of a text in each of its parts; no special token lies across the border of two."""
    cut = []
    rest = list(reversed(pieces))
    for part in parts:
        while rest and rest[-1][0] < part.end:
            start, end, id_ = rest.pop()
            if end > part.end:
                rest.append((part.end, end, id_))
                end = part.end
            cut.append((start, end, id_, part.learned))
    return cut


# ---------------------------------------------------------------- what is learned of a turn


def _answer(text: str, region: turns.Region, turn: Turn, tokenizer: Any) -> tuple[int, int]:
    """Where in the text the answer of a turn begins, and where its end is learned to."""
    start, end = region
    start += _asked(text[start:end], turn, tokenizer)
    ending = chat.ending(tokenizer)
    if not turn.reasoning and text.startswith(ending.opening, start):
        start += len(ending.opening)
    _, length = _last_special(text[start:end], tokenizer)
    if length:
        return start, start + length
    behind, length = _first_special(text[end:], tokenizer)
    if ending.stop is not None and behind == ending.stop:
        return start, end + length
    return start, start + len(text[start:end].rstrip())


def _last_special(text: str, tokenizer: Any) -> tuple[int | None, int]:
    """The last special token in a text, and where it ends; (None, 0) where there is none."""
    pieces = chat.stretches(text, tokenizer, chat.special_ids(tokenizer))
    return next(((id_, end) for _, end, id_ in reversed(pieces) if id_ is not None), (None, 0))


def _first_special(text: str, tokenizer: Any) -> tuple[int | None, int]:
    """The special token that a text begins with, behind white space, and where it ends."""
    for start, end, id_ in chat.stretches(text, tokenizer, chat.special_ids(tokenizer)):
        if id_ is not None or text[start:end].strip():
            return id_, end
    return None, 0


def _asked(text: str, turn: Turn, tokenizer: Any) -> int:
    """How many characters of the text of a turn the template writes before the answer."""
    beginning = chat.beginning(tokenizer).lstrip()
    blank = len(text) - len(text.lstrip()) if beginning else 0
    # Where an answer begins with a thought, turns that are past may have none.
    ways = (beginning, _THOUGHT_BEGINS.sub("", beginning))
    for written in ways:
        if text.startswith(written, blank):
            return blank + len(written)
    # Of a conversation that the assistant begins, bos or a system prompt may stand in that turn.
    content = chat.escape(turn.content.strip(), chat.special_ids(tokenizer))
    limit = text.rfind(content) if content else len(text)
    ends = (text.find(written) + len(written) for written in ways if written in text)
    return next((end for end in ends if end <= limit), 0)


@lru_cache(maxsize=8)
def _only_asked(tokenizer: Any, template: str) -> str:
    """The end of what the template writes where an answer is asked for that no turn has."""
    beginning = chat.beginning(tokenizer)
    text, regions, _ = turns.render(_thinking(tokenizer), _variables(tokenizer), template)
    if regions[-1] is None:
        return ""
    written = text[slice(*regions[-1])].lstrip()
    known = written.startswith(beginning.lstrip())
    return "" if known else beginning[len(_THOUGHT_BEGINS.sub("", beginning)) :]


# ---------------------------------------------------------------- the template


def _rendered(
    conversation: Conversation, tokenizer: Any
) -> tuple[str, list[turns.Region | None], list[int]]:
    template = chat.template_of(tokenizer)
    specials = chat.special_ids(tokenizer)
    tools = _escaped(json.loads(conversation.tools), specials) if conversation.tools else None
    if tools:
        template = tokenizer.get_chat_template(tools=tools)
    sequence = conversation.turns
    has_system = bool(sequence) and sequence[0].role == "system"
    folds = has_system and not chat.has_system_role(tokenizer, chat.template_of(tokenizer))
    if folds:
        sequence = _folded(sequence)
    messages = [
        _message(
            turn, conversation.masks_reasoning, _reads_reasoning(tokenizer, template), specials
        )
        for turn in sequence
    ]
    variables = _variables(tokenizer) | {
        "tools": tools,
        "add_generation_prompt": conversation.is_prompt,
    }
    try:
        text, regions, reasoned = turns.render(messages, variables, template)
    except turns.Unmarked as error:
        raise Refused(str(error)) from None
    except Exception as error:  # the template is a program that comes with the model
        raise Refused(str(error)) from None
    if conversation.is_prompt:
        text = text.removesuffix(_only_asked(tokenizer, template))
        text += "" if conversation.thinks else chat.ending(tokenizer).opening
    return text, [None, *regions] if folds else regions, reasoned


def _message(turn: Turn, marks: bool, is_field: bool, specials: dict[str, int]) -> dict[str, Any]:
    """A turn as templates take it. marks: whether to mark the end of its reasoning; is_field:
    whether that is a field of its own."""
    content = chat.escape(turn.content, specials)
    message: dict[str, Any] = {"role": turn.role}
    if turn.reasoning:
        thought = chat.escape(turn.reasoning, specials) + (turns.REASONED if marks else "")
        if is_field:
            message["reasoning_content"] = thought
        else:
            content = f"<think>\n{thought}\n</think>\n\n{content}"
    message["content"] = content
    if turn.calls:
        message["tool_calls"] = _escaped(json.loads(turn.calls), specials)
    if turn.name:
        message["name"] = chat.escape(turn.name, specials)
    if turn.call_id:
        message["tool_call_id"] = chat.escape(turn.call_id, specials)
    return message


def _escaped(value: Any, specials: dict[str, int]) -> Any:
    if isinstance(value, str):
        return chat.escape(value, specials)
    if isinstance(value, list):
        return [_escaped(each, specials) for each in value]
    if isinstance(value, dict):
        return {_escaped(key, specials): _escaped(each, specials) for key, each in value.items()}
    return value


def _folded(sequence: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The system prompt as the beginning of the first user's message."""
    system, *rest = sequence
    if not rest or rest[0].role != "user":
        raise Refused("it has no system role, and the conversation does not begin with the user")
    content = "\n\n".join(filter(None, (system.content, rest[0].content)))
    return (replace(rest[0], content=content), *rest[1:])


@lru_cache(maxsize=8)
def _reads_reasoning(tokenizer: Any, template: str) -> bool:
    """Whether the template writes the `reasoning_content` of a message."""
    try:
        text, _, _ = turns.render(_thinking(tokenizer), _variables(tokenizer), template)
    except Exception:  # the template is a program that comes with the model
        return False
    return _PROBE in text


def _thinking(tokenizer: Any) -> list[dict[str, Any]]:
    """An answer with a thought, as templates take it."""
    asked = [{"role": role, "content": text} for role, text in chat.question(tokenizer)]
    return [*asked, _THOUGHT]


def _variables(tokenizer: Any) -> dict[str, Any]:
    """What a template sees of a conversation without tools."""
    missing = {"tools": None, "documents": None, "add_generation_prompt": False}
    return chat.variables(tokenizer) | missing
