"""A recipe file of another program to the text of a config.yaml, and what became of its fields."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deltatune.config import file as config_file
from deltatune.config.checks import files
from deltatune.config.load import validate_settings
from deltatune.config.problems import ConfigError, Problem
from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.recipes import axolotl, llama_factory
from deltatune.recipes.axolotl_fields import AXOLOTL
from deltatune.recipes.common import Pin
from deltatune.recipes.fields import MEANINGS, Program
from deltatune.recipes.llama_factory_fields import LLAMA_FACTORY
from deltatune.recipes.translation import Outcome, Translation, shown

PROGRAMS = (AXOLOTL, LLAMA_FACTORY)
_VARIABLE = re.compile(r"\$\{[^}]*\}")
_LONGEST = 400
"""Characters of a comment."""


@dataclass(frozen=True)
class Imported:
    """text: of the config.yaml; counts: kind of outcome -> number of fields."""

    text: str
    config: dict[str, Any]
    translation: Translation

    @property
    def counts(self) -> Counter[str]:
        return Counter(outcome.kind for outcome in self.translation.outcomes.values())


def import_recipe(path: Path, folder: Path, pin: Pin) -> Imported:
    """folder: where relative paths of the recipe and of config.yaml start.

    Raises UserError for a file that is no recipe, and for one that cannot be translated, with each
    field that stands against it.
    """
    program, recipe = read(path)
    translation = Translation(program, recipe)
    translation.scan()
    if program is AXOLOTL:
        config = axolotl.translate(translation, folder, pin)
    else:
        config = llama_factory.translate(translation, path, folder, pin)
    translation.stop_at_refusals()
    translation.finish()
    translation.to_do += [f"{p.path}: {p.message}" for p in _check(config, folder)]
    return Imported(_text(path.name, config, translation), config, translation)


def read(path: Path) -> tuple[Program, dict[str, Any]]:
    """The program that a file is a recipe of, and its fields."""
    if not path.exists():
        raise UserError(f"there is no file '{excerpt(str(path))}'")
    config_file.read(path)  # refuses what is no mapping, double keys, and what explodes
    recipe = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    if {"datasets", "models", "experiments"} <= recipe.keys():
        raise UserError(f"{path} is a config.yaml of this project already")
    programs = [p for p in PROGRAMS if any(key in recipe for key in p.told_by)]
    if len(programs) != 1:
        fields = ", ".join(f"{' or '.join(p.told_by)} of {p.title}" for p in PROGRAMS)
        which = "both of" if programs else "neither of"
        raise UserError(f"{path} has {which} the fields by which a recipe is known: {fields}")
    for place in _variables(recipe):
        raise UserError(
            f"{path}, {excerpt(place)}: ${{...}} stands for a value that this file does not have; "
            "write the value itself"
        )
    return programs[0], recipe


def _variables(value: Any, place: str = "") -> Iterator[str]:
    if isinstance(value, str) and _VARIABLE.search(value):
        yield place
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, part in inside:
        yield from _variables(part, f"{place}.{key}".removeprefix("."))


def _check(config: dict[str, Any], folder: Path) -> list[Problem]:
    """What the config still lacks: files that are not there. Raises UserError for all else."""
    try:
        settings = validate_settings(config)
    except ConfigError as error:
        lines = [f"  - {p.path}: {excerpt(p.message, _LONGEST)}" for p in error.problems]
        title = "The recipe asks for settings that are refused here:"
        raise UserError("\n".join([title, *lines])) from None
    try:
        return list(files(settings, folder))
    except OSError as error:
        return [Problem("datasets", f"a file cannot be looked at: {error}")]


# ---------------------------------------------------------------- the text


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(name: str, config: dict[str, Any], t: Translation) -> str:
    program, name = t.program, excerpt(name)
    lines = [
        f"Translated from {name}, a recipe of {program.title}; fields as of {program.version}, "
        f"commit {program.commit[:12]}.",
        "A test set is split off here, rows are always packed, and repeated records are removed.",
    ]
    lines += _list("Before the run:", t.to_do)
    lines += _list("Without counterpart or other here, so that the run differs:", _of(t, "lost"))
    lines += _list("Unknown here, and left out:", _of(t, "unknown"))
    after = _list(f"What became of each field of {name}:", _of(t))
    assumed = [f"{place}: {text}" for place, text in t.assumed.items()]
    after += _list(f"Not in it, with the value that {program.title} takes then:", assumed)
    body = yaml.dump(config, Dumper=_Dumper, sort_keys=False, width=100)
    return f"{_comments(lines)}\n\n{body}\n{_comments(after[1:])}\n"


def _of(t: Translation, *kinds: str) -> list[str]:
    """A line for each field, of these kinds of outcome or of all."""
    return [
        f"{excerpt(place)}: {shown(t.get(place), place)} -> {_words(outcome)}"
        for place, outcome in t.outcomes.items()
        if not kinds or outcome.kind in kinds
    ]


def _words(outcome: Outcome) -> str:
    words = {"lost": "other here: ", "unknown": "unknown here: "}
    if outcome.text.startswith(MEANINGS["none"]):
        return outcome.text
    return words.get(outcome.kind, "") + outcome.text


def _list(title: str, lines: list[str]) -> list[str]:
    return ["", title, *(f"  - {line}" for line in lines)] if lines else []


def _comments(lines: list[str]) -> str:
    """Each line is one comment, whatever a recipe has in its texts."""
    spaces = ((line[: len(line) - len(line.lstrip())], line) for line in lines)
    return "\n".join(f"# {indent}{excerpt(line, _LONGEST)}".rstrip() for indent, line in spaces)
