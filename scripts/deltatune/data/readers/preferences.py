"""Answers beside their question: the chosen one of a preference pair, or a completion of a prompt.

The question is a column of its own, text or messages; an answer is text, one message, the messages
of the answer or the whole conversation; or a conversation is one text of turns that begin with
"Human:" and "Assistant:", as in hh-rlhf. An answer that is marked as undesirable is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from deltatune.core.text import excerpt
from deltatune.data.readers.base import Rejected, Row, Source
from deltatune.data.readers.fields import Field, Place
from deltatune.data.readers.values import as_json, as_text
from deltatune.data.reasons import Code, Reason
from deltatune.data.records import ROLES

QUESTIONS = ("instruction", "prompt", "question", "messages", "conversations", "input")
"""Columns that the question may be in; of several the first one counts."""

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")

Message = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """The columns of a source of preference pairs, or of prompts and completions."""

    chosen: str
    rejected: str | None
    """None where the source has completions: then nothing of the question is learned."""
    question: str | None
    system: str | None
    """A system prompt, which stands before an instruction."""
    input: str | None
    """It stands behind the question of `messages`."""

    def conversation(
        self, values: dict[str, Any], with_input: bool
    ) -> list[Message] | Reason | None:
        """The chosen one; None where it has no answer or no question. values: by column."""
        asked = values[self.question] if self.question else None
        answer = values[self.chosen]
        chosen = _turns(answer, "assistant", is_dialog=_continues(asked, answer))
        if isinstance(chosen, Reason) or not chosen:
            return chosen or None
        if _role(chosen[0]) != "assistant":
            return chosen
        before = _turns(asked, "user", is_dialog=True)
        if isinstance(before, Reason) or not before:
            return before or None
        if _role(before[-1]) == "assistant" and not _content(before[-1]):
            before.pop()  # where the answer is to stand
        more = values[self.input] if self.input and with_input else None
        if isinstance(more, str) and more.strip():
            before.append({"role": "user", "content": f"{_content(before.pop())}\n\n{more}"})
        if self.rejected is None:
            before = [m | {"weight": 0} if _role(m) == "assistant" else m for m in before]
        return before + chosen


@dataclass(frozen=True)
class Preferred(Field):
    """A field of the chosen conversation: `messages`, or of one question and one answer the
    `instruction` or the `output`."""

    pair: Pair | None = None
    is_alone: bool = True
    """Whether no task takes `messages`. Then a conversation of several turns is rejected; else it
    has no instruction and no output."""

    @property
    def is_plain(self) -> bool:
        return False

    def text(self, values: dict[str, Any]) -> str | Reason | None:
        messages = self.pair.conversation(values, with_input=self.name == "messages")
        if isinstance(messages, Reason):
            return messages
        if not messages:
            # Of an answer that is missing the output is, not the instruction.
            asked = values.get(self.pair.question) if self.name == "instruction" else None
            return asked if isinstance(asked, str) else None
        if self.name == "messages":
            return as_json(messages)
        prompts = [values.get(self.pair.system)] if self.pair.system else []
        if _role(messages[0]) == "system":
            prompts.append(_content(messages.pop(0)))
        if [_role(message) for message in messages] != ["user", "assistant"]:
            several = Reason(Code.SEVERAL_TURNS, value=f"{len(messages)} messages")
            return several if self.is_alone else None
        if self.name == "output":
            return as_text(_content(messages[1]))
        texts = [as_text(text) for text in (*prompts, _content(messages[0]))]
        wrong = next((text for text in texts if isinstance(text, Reason)), None)
        return wrong or as_text("\n\n".join(text.strip() for text in texts if text))


def with_chosen(
    fields: Sequence[Field], names: Sequence[str], used: Collection[str]
) -> list[Field]:
    """The fields of a source without `columns`, those of its chosen conversations among them where
    it has preference pairs, or completions.

    names: its columns; used: the fields that tasks have.
    """
    columns = {name.strip().casefold(): name for name in names}
    is_pair = {"chosen", "rejected"} <= columns.keys()
    if not is_pair and not {"prompt", "completion"} <= columns.keys():
        return list(fields)
    there = {field.name for field in fields}
    derived = ["messages"] if "messages" in used and (is_pair or "messages" not in there) else []
    if "output" in used and "output" not in there:
        derived += ["instruction", "output"]
    questions = QUESTIONS if is_pair else ["prompt"]
    question = next((columns[name] for name in questions if name in columns), None)
    more = None if question == columns.get("input") else columns.get("input")
    chosen = columns["chosen" if is_pair else "completion"]
    rejected = columns["rejected"] if is_pair else None
    pair = Pair(chosen, rejected, question, columns.get("system"), more)
    # A question in the column `input` is no input beside it.
    replaced = {*derived, *(["input"] if derived and question == columns.get("input") else [])}
    return [
        *(field for field in fields if field.name not in replaced),
        *(_field(name, pair, is_alone="messages" not in used) for name in derived),
    ]


def _field(name: str, pair: Pair, is_alone: bool) -> Preferred:
    beside = {"instruction": pair.system, "messages": pair.input}.get(name)
    read = [column for column in (pair.chosen, pair.question, beside) if column]
    return Preferred(name, tuple(map(Place, read)), pair=pair, is_alone=is_alone)


def notes(fields: Sequence[Field]) -> list[str]:
    """What is read of preference pairs or completions, and what is not."""
    derived = {field.name: field.pair for field in fields if isinstance(field, Preferred)}
    if not derived:
        return []
    pair = next(iter(derived.values()))
    *others, last = [f"`{name}`" for name in derived]
    listed = f"{', '.join(others)} and {last} are" if others else f"{last} is"
    asked = f", the question in '{excerpt(pair.question, 40)}'" if pair.question else ""
    system = "instruction" in derived and pair.system
    before = f" behind the system prompt in '{excerpt(system, 40)}'" if system else ""
    read = f"{listed} read from the answer in '{excerpt(pair.chosen, 40)}'{asked}{before}"
    if pair.rejected is None:
        return [f"completions: {read}"]
    return [f"preference pairs: {read}; '{excerpt(pair.rejected, 40)}' is not used"]


def desirable(source: Source, wanted: Sequence[str], looked_at: Collection[str]) -> Iterator[Row]:
    """The rows of a source; rejected are those whose answer is marked as undesirable, as data for
    KTO have it: `label: false` beside a completion, or `kto_tag`.

    wanted: the columns of a row. looked_at: those that tasks look at: a flag among them is a field.
    """
    columns = {name.strip().casefold(): name for name in source.names()}
    flags = ["kto_tag", *(["label"] if columns.get("completion") in looked_at else [])]
    named = (columns[name] for name in flags if name in columns)
    flag = next((name for name in named if name not in looked_at), None)
    rows = source.rows([*wanted, flag] if flag else list(wanted))
    for row in rows:
        if flag and not isinstance(row, Rejected):
            *row, desired = row
            if str(desired).strip().casefold() == "false":
                row = Rejected(Reason(Code.UNDESIRABLE, flag), row[0])
        yield row


# ---------------------------------------------------------------- conversations


def _continues(question: Any, answer: Any) -> bool:
    """Whether an answer has the question in it."""
    if not isinstance(question, str) or not isinstance(answer, str):
        return question is None
    return answer.strip().startswith(question.strip())


def _turns(value: Any, role: str, is_dialog: bool) -> list[Message] | Reason:
    """A value as messages, [] where it is missing. role: of a text; is_dialog: whether a text that
    begins with "Human:" is one of several turns."""
    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        value = _loaded(value)
    if isinstance(value, dict):
        value = [value]
    if isinstance(value, list | tuple):
        for number, message in enumerate(value, start=1):
            if not isinstance(message, dict) or _role(message) is None:
                what = f"message {number}: no object with a role"
                return Reason(Code.NOT_A_CONVERSATION, value=what)
        return list(value)
    text = as_text(value)
    if isinstance(text, Reason) or not text or not text.strip():
        return text if isinstance(text, Reason) else []
    if is_dialog and text.lstrip().startswith("Human:"):
        _, *parts = _TURN.split(text)
        named = zip(parts[::2], parts[1::2], strict=True)
        return [{"role": ROLES[name.lower()], "content": turn.strip()} for name, turn in named]
    return [{"role": role, "content": text}]


def _loaded(text: str) -> Any:
    """The messages that a text is in JSON; the text itself where it is no such thing."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    messages = [value] if isinstance(value, dict) else value
    is_messages = messages and all(isinstance(m, dict) and _role(m) for m in messages)
    return messages if is_messages else text


def _role(message: Message) -> str | None:
    return ROLES.get(str(message.get("role", message.get("from"))).strip().lower())


def _content(message: Message) -> Any:
    return message.get("content", message.get("value"))
