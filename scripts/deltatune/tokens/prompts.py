"""Prompts and completions, as text.

A prompt never ends in a space, because a tokenizer joins a space to the word that follows it: the
completion begins with it, and prompt and completion can be tokenized apart. Templates are filled
by name only. Text that stands in a record is never read as a template, whatever braces it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from string import Formatter
from typing import Any

from deltatune.core.errors import UserError

Messages = tuple[tuple[str, str], ...]
"""A conversation: (role, text) of each message, the role "system", "user" or "assistant"."""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation of any length."""

    role: str
    """system, user, assistant or tool."""
    content: str
    reasoning: str = ""
    """What a thinking model writes before the content."""
    calls: str = ""
    """Tool calls of the assistant, as a list in JSON."""
    name: str = ""
    """Of the tool whose result it is."""
    call_id: str = ""
    """Of the call whose result it is."""
    learned: bool = False
    """Whether the loss is taken on it, the token that ends it included; of the assistant alone."""


@dataclass(frozen=True)
class Conversation:
    """A document of several turns, or the prompt for the last of them."""

    turns: tuple[Turn, ...]
    tools: str = ""
    """The tools that the assistant may call, as a list in JSON; "" for none."""
    masks_reasoning: bool = False
    """Whether no loss is taken on the reasoning of learned turns."""
    is_prompt: bool = False
    """Whether it is asked, and the assistant's turn is next."""
    thinks: bool = False
    """Of a prompt: whether the answer begins with reasoning."""

    @property
    def prompt(self) -> Conversation:
        """All before the last turn, which is what an evaluation asks."""
        *before, last = self.turns
        return replace(self, turns=tuple(before), is_prompt=True, thinks=bool(last.reasoning))


Prompt = str | Messages | Conversation
"""Text without a template, or a conversation for the model's chat template."""

Body = tuple[int, int]
"""Where in a prompt the text of its record stands: its first character, and the one behind it."""


@dataclass(frozen=True)
class Document:
    """One example: the loss is taken on the completion, never on the prompt.

    Running text has an empty prompt, and all of it is supervised.
    """

    prompt: Prompt
    completion: str
    body: Body | None = None
    """The part of the prompt that gives way where it is too long, see `shortening`."""


_REASONING = re.compile(r"\s*<think>(.*?)(?:</think>\s*|\Z)", re.DOTALL)


def split_reasoning(answer: str) -> tuple[str, str]:
    """(reasoning, the rest) of what a thinking model writes; a block without an end is all."""
    thought = _REASONING.match(answer)
    return (thought.group(1).strip(), answer[thought.end() :]) if thought else ("", answer)


def document_length(document: Document | Conversation) -> int:
    """Characters of a document, without what a chat template writes around it."""
    if isinstance(document, Conversation):
        texts = (f"{t.content}{t.reasoning}{t.calls}" for t in document.turns)
        return len(document.tools) + sum(map(len, texts))
    prompt = document.prompt
    asked = prompt if isinstance(prompt, str) else "".join(text for _, text in prompt)
    return len(asked) + len(document.completion)


# The format of Stanford Alpaca (Taori et al. 2023). There the prompt ends at the last colon; here
# the line break that LitGPT and others put after it belongs to the prompt, so that the answer is
# tokenized as the beginning of a line.
TEMPLATES: dict[str, dict[str, str]] = {
    "alpaca": {
        "with_input": (
            "Below is an instruction that describes a task, paired with an input that provides "
            "further context. Write a response that appropriately completes the request.\n\n"
            "### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"
        ),
        "without_input": (
            "Below is an instruction that describes a task. Write a response that appropriately "
            "completes the request.\n\n### Instruction:\n{instruction}\n\n### Response:\n"
        ),
    },
    "alpaca_short": {
        "with_input": ("### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n"),
        "without_input": "### Instruction:\n{instruction}\n\n### Response:\n",
    },
    # Nothing around it: as a person would type it.
    "plain": {"with_input": "{instruction}\n\n{input}", "without_input": "{instruction}"},
}

# Variant of an instruction template: the fields it must name, which are all that it may name.
_VARIANTS = {"with_input": ("instruction", "input"), "without_input": ("instruction",)}


def render(
    template: str | Mapping[str, str], record: Mapping[str, Any], where: str = "prompt"
) -> str:
    """The prompt of an instruction, in the variant for a record with or without an input.

    template: a name in TEMPLATES, or both variants: {"with_input": ..., "without_input": ...}.
    record: "instruction" and perhaps "input"; an input that is missing or blank counts as none.
    where: key in config.yaml, named in errors.

    Raises UserError for an unknown name, a bad template or a record without an instruction.
    """
    variants = instruction_template(template, where)
    if not _has_text(record.get("instruction")):
        raise UserError(
            f"{where}: a record has no text in 'instruction', which the prompt needs. Leave such "
            "records out when the data is read."
        )
    variant = "with_input" if _has_text(record.get("input")) else "without_input"
    return _fill(variants[variant], {field: record[field] for field in _VARIANTS[variant]})


def conversation(text: str, system: str | None) -> Messages:
    """One message of a user, behind a system prompt where there is one."""
    return ((("system", system),) if system else ()) + (("user", text),)


def render_labels(
    template: str, text: str, labels: Iterable[str], where: str = "prompt"
) -> tuple[str, Body]:
    """The prompt that a label completes: {text}, and {labels} as a list separated by commas; and
    where the text stands in it.

    Raises UserError for a bad template, naming the key `where`.
    """
    around = _around_text(template, tuple(labels), where)
    start = len(around[0])
    return text.join(around), (start, start + len(text))


@lru_cache(maxsize=8)
def _around_text(template: str, labels: tuple[str, ...], where: str) -> list[str]:
    """What stands before the text, between it and the text once more, and behind it."""
    label_template(template, where)
    parts = [""]
    for literal, field, _, _ in _parts(template):
        parts[-1] += literal + (", ".join(labels) if field == "labels" else "")
        if field == "text":
            parts.append("")
    return parts


def instruction_template(
    template: str | Mapping[str, str], where: str = "prompt"
) -> Mapping[str, str]:
    """Both variants of an instruction template, looked up by name and checked.

    Raises UserError, naming the key, if there is no such name, a variant is missing or unknown,
    or a variant does not name exactly the fields that it has to fill.
    """
    if isinstance(template, str):
        if template not in TEMPLATES:
            raise UserError(
                f"{where}: no template is called '{template}'. Choose one of "
                f"{', '.join(TEMPLATES)}, or write your own as a mapping with the keys "
                f"{' and '.join(_VARIANTS)}."
            )
        return TEMPLATES[template]
    if set(template) != set(_VARIANTS):
        raise UserError(
            f"{where}: a template of your own has the keys {' and '.join(_VARIANTS)}, not "
            f"{', '.join(map(str, template)) or 'none'}."
        )
    for variant, fields in _VARIANTS.items():
        _check(template[variant], fields, fields, f"{where}.{variant}")
    return template


def label_template(template: str, where: str = "prompt") -> str:
    """A template with {text} and perhaps {labels}, checked. Raises UserError, naming the key."""
    _check(template, ("text", "labels"), ("text",), where)
    return template


def _has_text(value: Any) -> bool:
    # A missing value comes as None, as NaN or as an empty string, depending on the reader.
    return isinstance(value, str) and bool(value.strip())


@cache
def _parts(template: str) -> tuple[tuple[str, str | None, str, str | None], ...]:
    """(text, field, format spec, conversion) of each piece, `{{` and `}}` read as braces."""
    return tuple(Formatter().parse(template))


def _check(template: Any, known: tuple[str, ...], required: tuple[str, ...], where: str) -> None:
    if not isinstance(template, str):
        raise UserError(f"{where}: a template is text, not {template!r}. {_hint(known)}")
    _check_fields(template, known, required, where)


def _hint(known: tuple[str, ...]) -> str:
    allowed = ", ".join(f"{{{field}}}" for field in known)
    return f"Use {allowed}; write {{{{ and }}}} for braces that should stay."


@cache
def _check_fields(
    template: str, known: tuple[str, ...], required: tuple[str, ...], where: str
) -> None:
    hint = _hint(known)
    try:
        parts = _parts(template)
    except ValueError as error:
        raise UserError(f"{where}: the template cannot be read ({error}). {hint}") from error
    named = [part[1:] for part in parts if part[1] is not None]
    for field, spec, conversion in named:
        # This also refuses {}, {0}, {text.upper} and {text[0]}: none of them is a known name.
        if field not in known:
            raise UserError(f"{where}: unknown field {{{field}}}. {hint}")
        if spec or conversion:
            raise UserError(
                f"{where}: {{{field}}} has a format specifier, which templates do not support. "
                f"{hint}"
            )
    for field in required:
        if all(field != name for name, _, _ in named):
            raise UserError(f"{where}: the template does not use {{{field}}}. {hint}")
    if template.endswith((" ", "\t")):
        raise UserError(
            f"{where}: the template ends in a space, which would be tokenized separately from the "
            "word after it. End it with a colon or a line break."
        )


def _fill(template: str, values: Mapping[str, str]) -> str:
    return "".join(
        literal + ("" if field is None else values[field])
        for literal, field, _, _ in _parts(template)
    )
