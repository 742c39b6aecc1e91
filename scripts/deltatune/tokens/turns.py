"""Where each message of a conversation stands in the text that a chat template writes.

The loops of the template over the messages are told to write a mark before and after each of them:
in the parsed template, so that no content, no condition and no white space of it changes. The marks
are then taken out, and what is left is the text of the template itself, which is verified.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import nodes
from jinja2.visitor import NodeTransformer

from deltatune.tokens.chat import MARK
from deltatune.tokens.upstream import template_environment

Region = tuple[int, int]
"""Its first character, and the one behind it."""

_FUNCTION = "mark_turn"  # a global of the template
_MARKS = re.compile(f"{MARK}(b\\d+|e|r){MARK}")
REASONED = f"{MARK}r{MARK}"
"""A mark for whoever gives the messages: behind the reasoning of one."""


class Refused(Exception):
    """The template does not take a conversation; the text says why."""


class Unmarked(Exception):
    """The template does not show where its messages are."""


def render(
    messages: Sequence[dict[str, Any]], variables: dict[str, Any], template: str
) -> tuple[str, list[Region | None], list[int]]:
    """(text, where each message stands in it, where REASONED stood).

    A message that the template leaves out, or writes outside its loop, has no region. variables:
    what the template sees beside the messages. Raises Unmarked, and whatever the template raises.
    """
    numbers = {id(message): number for number, message in enumerate(messages)}

    def border(item: Any, begins: bool) -> str:
        if id(item) not in numbers:
            return ""
        return f"{MARK}b{numbers[id(item)]}{MARK}" if begins else f"{MARK}e{MARK}"

    plain, marked = _compiled(template)
    text, marks = _without_marks(
        marked.render(messages=messages, **{_FUNCTION: border}, **variables)
    )
    if text != _without_marks(plain.render(messages=messages, **variables))[0]:
        raise Unmarked("its text depends on what its loop over the messages has written")
    regions: list[Region | None] = [None] * len(messages)
    reasoned = []
    current = None
    for place, name in [*marks, (len(text), "e")]:
        if name == "r":
            reasoned.append(place)
            continue
        if current is not None:
            number, start = current
            if text[start:place].strip():
                if regions[number] is not None:
                    raise Unmarked("it writes a message twice")
                regions[number] = start, place
        current = (int(name[1:]), place) if name[0] == "b" else None
    if not any(regions):
        regions = _by_length(text, messages, lambda part: plain.render(variables | part))
    return text, regions, reasoned


def _by_length(
    text: str, messages: Sequence[dict[str, Any]], write: Callable[[dict[str, Any]], str]
) -> list[Region | None]:
    """The same of a template that loops over numbers: a message is what the text of those before it
    lacks. write: the text, of what differs from all messages."""
    places = [0]
    for count in range(1, len(messages)):
        part = {"messages": messages[:count], "add_generation_prompt": False}
        before = _without_marks(write(part))[0]
        if not text.startswith(before):
            raise Unmarked("it does not show where a message begins")
        places.append(len(before))
    return list(zip(places, [*places[1:], len(text)], strict=True))


def _without_marks(text: str) -> tuple[str, list[tuple[int, str]]]:
    """The text, and (place, name) of each mark that was in it."""
    parts, marks, start, length = [], [], 0, 0
    for match in _MARKS.finditer(text):
        parts.append(text[start : match.start()])
        length += len(parts[-1])
        marks.append((length, match.group(1)))
        start = match.end()
    parts.append(text[start:])
    return "".join(parts), marks


@lru_cache(maxsize=8)
def _compiled(template: str) -> tuple[Any, Any]:
    environment = template_environment(template)
    parsed = _Marking().visit(environment.parse(template))
    code: Callable[..., Any] = environment.compile(parsed)
    marked = environment.template_class.from_code(environment, code, environment.globals)
    return environment.from_string(template), marked


class _Marking(NodeTransformer):
    def visit_For(self, node: nodes.For) -> nodes.For:
        self.generic_visit(node)
        if isinstance(node.target, nodes.Name):
            node.body = [_border(node.target, True), *node.body, _border(node.target, False)]
        return node


def _border(target: nodes.Name, begins: bool) -> nodes.Output:
    call = nodes.Call(
        nodes.Name(_FUNCTION, "load"),
        [nodes.Name(target.name, "load"), nodes.Const(begins)],
        [],
        None,
        None,
    )
    return nodes.Output([call]).set_lineno(target.lineno)
