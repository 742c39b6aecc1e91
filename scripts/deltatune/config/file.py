"""config.yaml as a file, checked before Snakemake reads it.

YAML has its traps, and Snakemake reads it with a loader that lets them pass: of a key that stands
twice the last is taken, `no` is false, 010 is 8, a file of a few lines can stand for a billion
nodes, and `__use_yte__` makes Snakemake run code of the file. Each of these is refused here, with
its line.

    python -m deltatune.config.file FILE    (in scripts/) checks a file and runs nothing of it
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from deltatune.config import upstream
from deltatune.core.errors import UserError
from deltatune.core.paths import ROOT

USUAL = "config.yaml"
"""The file that is read where none is given."""
LARGEST = 16 * 2**20
"""Bytes of the largest file that is read."""
DEPTH = 50
"""Levels of the deepest nesting, aliases followed."""
NODES = 200_000
"""Nodes of the largest file, aliases followed."""
DIGITS = 40
"""Digits of the longest number."""

_NO_BREAK = re.compile(r"^[ \t]*\u00a0", re.MULTILINE)
"""An indent as it comes of a copied web page, which YAML takes for text."""
_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq")}


def read(path: str | Path, shown: str | None = None) -> dict[str, int]:
    """Check a config file. shown: what messages call it.

    Returns the line, from 1, of each key: {"tasks.news.split": 41, "seeds.0": 6}. Raises UserError
    for what cannot be read, and for what would be read as something else than it seems to be.
    """
    shown = shown or str(path)
    text = _text(Path(path), shown)
    if text.lstrip().startswith("{") and _is_json(text, shown):
        return {}
    check = _Check(shown)
    try:
        for event in yaml.parse(text, Loader=upstream.FAST_LOADER):
            check.take(event)
        if not check.documents:
            raise UserError(f"{shown} is empty; see config.yaml of the project for an example")
        # Dates that do not exist, merges of what is no mapping: found where values are built.
        yaml.load(text, Loader=upstream.strict_loader(text))
    except yaml.YAMLError as error:
        raise UserError(f"{shown} cannot be read as YAML: {_reason(error, text)}") from None
    except (ValueError, RecursionError, OverflowError) as error:
        raise UserError(f"{shown} cannot be read as YAML: {error}") from None
    return check.lines


def used(given: Sequence[str | Path]) -> list[str]:
    """The files that the settings are read from: those that were given; else config.yaml of the
    folder that snakemake runs in, which need not be the project's; else that of the project."""
    if given:
        return list(map(str, given))
    project = ROOT / "config.yaml"
    return [str(project) if project.exists() and not Path(USUAL).exists() else USUAL]


def name(paths: Iterable[str | Path], more: bool = False) -> str:
    """What messages call the files. more: whether the command line has settings of its own."""
    return " with ".join([*(_relative(Path(path)) for path in paths), *["--config"] * more])


def read_all(paths: Iterable[str | Path]) -> dict[str, int]:
    """The same for each file that Snakemake was given; lines only where there is one file."""
    lines = [read(path, _relative(Path(path))) for path in paths]
    return lines[0] if len(lines) == 1 else {}


# ---------------------------------------------------------------- the file


def _relative(path: Path) -> str:
    """The path as the user gave it; Snakemake has made it absolute."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _text(path: Path, shown: str) -> str:
    try:
        if path.is_dir():
            raise UserError(f"{shown} is a folder; the settings are one file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise UserError(
            f"there is no {shown} in {Path.cwd()}, nor a {USUAL} in the project; give a file with "
            "--configfile"
        ) from None
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST:
        raise UserError(f"{shown} is larger than {LARGEST // 2**20} MiB; is it the right file?")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{shown} is UTF-16; save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{shown}, line {line}: byte {data[error.start]:#04x} is not UTF-8; save it as UTF-8"
        ) from None
    if not text.strip():
        raise UserError(f"{shown} is empty; see config.yaml of the project for an example")
    return text


def _is_json(text: str, shown: str) -> bool:
    """Whether it is JSON, which Snakemake tries before YAML. Raises UserError for a double key."""

    def checked(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise UserError(f"{shown}: the key '{key}' occurs twice in one object")
            if key in upstream.SNAKEMAKE_KEYS:
                raise UserError(f"{shown}: the key '{key}' {upstream.SNAKEMAKE_KEYS[key]}")
        return dict(pairs)

    try:
        json.loads(text, object_pairs_hook=checked)
    except RecursionError:
        raise UserError(f"{shown} is nested too deeply") from None
    except ValueError:
        return False
    return True


def _reason(error: yaml.YAMLError, text: str) -> str:
    position = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if position is not None:
        what = getattr(error, "problem", None) or getattr(error, "context", None) or "not YAML"
        if "'\\t'" in what or _indent(text, position.line).count("\t"):
            what += "; indent with spaces, never with tabs"
        elif "mapping values are not allowed" in what:
            what += "; a text with a colon and a space in it needs quotes"
        begin = getattr(error, "context_mark", None)
        if begin is not None and begin.line != position.line:
            what += f"; what it belongs to begins in line {begin.line + 1}"
        if copied := _NO_BREAK.search(text):
            number = text.count("\n", 0, copied.end()) + 1
            what += f"; line {number} is indented with no-break spaces; use plain ones"
        return f"line {position.line + 1}, column {position.column + 1}: {what}"
    offset = getattr(error, "position", None)
    if isinstance(offset, int):
        line = text.encode()[:offset].count(b"\n") + 1
        character = getattr(error, "character", "")
        code = character if isinstance(character, int) else ord(character or "\0")
        return f"line {line}: the character U+{code:04X} is not allowed"
    return " ".join(str(error).split())


def _indent(text: str, number: int) -> str:
    lines = text.split("\n")
    line = lines[number] if number < len(lines) else ""
    return line[: len(line) - len(line.lstrip())]


# ---------------------------------------------------------------- what stands in it


@dataclass
class _Open:
    """A mapping or list that has begun."""

    mapping: bool
    place: str
    anchor: str | None
    key: str | None = None
    """Of a mapping: the key whose value comes next; None where a key comes next."""
    keys: dict[str, int] = field(default_factory=dict)
    count: int = 0
    nodes: int = 1
    depth: int = 1


class _Check:
    """Follows the events of a parser, so that nothing has to be built to be looked at."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        self.lines: dict[str, int] = {}
        self.documents = 0
        self.stack: list[_Open] = []
        # Anchor -> (nodes, depth) of what it stands for; None while that is still open.
        self.anchors: dict[str, tuple[int, int] | None] = {}
        self.resolver = yaml.resolver.Resolver()

    def fail(self, event: Any, what: str) -> UserError:
        return UserError(f"{self.shown}, line {event.start_mark.line + 1}: {what}")

    def take(self, event: Any) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise self.fail(event, "a second document begins (---); there must be one")
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self.anchors:
            raise self.fail(
                event, f"*{event.anchor} refers to nothing: there is no &{event.anchor}"
            )
        known = self.anchors[event.anchor]
        if known is None:
            raise self.fail(event, f"*{event.anchor} stands inside of what it refers to")
        self._key_is_text(event)
        self._add(event, *known)

    def _begin(self, event: Any) -> None:
        mapping = isinstance(event, yaml.MappingStartEvent)
        if not self.stack and not mapping:
            raise self.fail(event, "a list; the settings are keys with values, such as `run: all`")
        self._known_tag(event)
        self._key_is_text(event)
        place = self._value(event)
        if event.anchor:
            self.anchors[event.anchor] = None
        self.stack.append(_Open(mapping, place, event.anchor))
        if len(self.stack) > DEPTH:
            raise self.fail(event, f"nested in more than {DEPTH} levels")

    def _close(self, event: Any) -> None:
        closed = self.stack.pop()
        if closed.anchor:
            self.anchors[closed.anchor] = closed.nodes, closed.depth
        if self.stack:
            parent = self.stack[-1]
            parent.nodes += closed.nodes
            parent.depth = max(parent.depth, closed.depth + 1)
            self._not_too_many(event)

    def _scalar(self, event: Any) -> None:
        if not self.stack:
            raise self.fail(event, "a text; the settings are keys with values, such as `run: all`")
        self._known_tag(event)
        tag = event.tag or self.resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = tag.removeprefix(_TAG)
        top = self.stack[-1]
        if top.mapping and top.key is None:
            self._key(event, kind)
            return
        if kind in ("int", "float"):
            self._number(event, kind)
        if event.anchor:
            self.anchors[event.anchor] = 1, 0
        self._add(event, 1, 0)

    def _key(self, event: Any, kind: str) -> None:
        top, name = self.stack[-1], event.value
        if event.anchor:
            self.anchors[event.anchor] = 1, 0
        top.key = name
        if kind == "merge":
            return
        if kind != "str" and not (top.place.endswith(".labels") and _is_value(name, kind)):
            means = {"bool": "true or false", "null": "nothing", "timestamp": "a date"}
            what = means.get(kind, "a number")
            raise self.fail(
                event, f"YAML reads the key {name} as {what}; write '{name}', in quotes"
            )
        if kind in ("int", "float"):
            self._number(event, kind)
        line = event.start_mark.line + 1
        if name.startswith("\u00a0"):
            name = name.replace("\u00a0", " ").strip()
            raise self.fail(event, f"'{name}' is indented with no-break spaces; use plain ones")
        if name in top.keys:
            raise self.fail(
                event, f"the key '{name}' stands here a second time, after line {top.keys[name]}"
            )
        if not top.place and name in upstream.SNAKEMAKE_KEYS:
            raise self.fail(event, f"the key '{name}' {upstream.SNAKEMAKE_KEYS[name]}")
        top.keys[name] = line
        self.lines[f"{top.place}.{name}".removeprefix(".")] = line

    def _number(self, event: Any, kind: str) -> None:
        value = event.value.replace("_", "").lstrip("+-")
        if ":" in value:
            raise self.fail(
                event, f"YAML reads {event.value} in base 60; write '{event.value}', in quotes"
            )
        if kind == "int" and re.fullmatch(r"0[0-7]+", value):
            raise self.fail(
                event, f"YAML reads {event.value} in base 8, as {int(value, 8)}; write that instead"
            )
        if len(value) > DIGITS:
            raise self.fail(event, f"a number of {len(value)} digits")

    def _known_tag(self, event: Any) -> None:
        if event.tag and event.tag != "!" and event.tag not in _PLAIN_TAGS:
            raise self.fail(event, f"the tag {event.tag} is not used here")

    def _key_is_text(self, event: Any) -> None:
        if self.stack and self.stack[-1].mapping and self.stack[-1].key is None:
            raise self.fail(event, "a key must be a text")

    def _value(self, event: Any) -> str:
        """The place of the value that comes now; its parent then waits for the next."""
        if not self.stack:
            return ""
        top = self.stack[-1]
        name = top.key if top.mapping else str(top.count)
        top.count += 1
        top.key = None
        place = f"{top.place}.{name}".removeprefix(".")
        if not top.mapping:
            self.lines[place] = event.start_mark.line + 1
        return place

    def _add(self, event: Any, nodes: int, depth: int) -> None:
        self._value(event)
        top = self.stack[-1]
        top.nodes += nodes
        top.depth = max(top.depth, depth + 1)
        if len(self.stack) + depth > DEPTH:
            raise self.fail(event, f"nested in more than {DEPTH} levels, aliases followed")
        self._not_too_many(event)

    def _not_too_many(self, event: Any) -> None:
        if sum(part.nodes for part in self.stack) > NODES:
            raise self.fail(
                event, f"the file stands for more than {NODES:,} values, aliases followed"
            )


def _is_value(text: str, kind: str) -> bool:
    """Whether a key can be a value in the data: a number, or true and false, where they are written
    so. What is written as yes may be a text there."""
    return kind in ("int", "float") or (kind == "bool" and text.lower() in ("true", "false"))


def _main(paths: list[str]) -> int:
    for path in paths:
        try:
            print(f"{path}: {len(read(path))} keys and items, the file itself is valid")
        except UserError as error:
            print(f"deltatune: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
