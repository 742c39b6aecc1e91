"""A recipe on its way: what of config.yaml it became, and what became of each of its fields."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from deltatune.core.errors import UserError
from deltatune.core.schema import NAME
from deltatune.core.text import did_you_mean, excerpt
from deltatune.recipes.fields import MEANINGS, Program, is_set

_SECRET = re.compile(r"token$|secret|passw|api_?key|webhook|credential", re.IGNORECASE)
#: A token of the hub, or a name and a password in an address.
_CREDENTIAL = re.compile(r"hf_[A-Za-z0-9]{10,}|(?<=://)[^/@\s]+(?=@)")
_HIDDEN = "(not shown)"
_LONGEST = 60


@dataclass(frozen=True)
class Outcome:
    """What became of a field.

    kept: it is a setting here; answered: nothing is lost; lost: without counterpart or
    other here, so that the run differs; unknown: the
    tables do not have it; unset: it asks for nothing.
    """

    kind: Literal["kept", "answered", "lost", "unknown", "unset"]
    text: str


@dataclass
class Translation:
    """Filled field by field; `finished` then answers all that no step has looked at."""

    program: Program
    recipe: dict[str, Any]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    assumed: dict[str, str] = field(default_factory=dict)
    """Field that the recipe does not have -> what was taken for it, and why."""
    to_do: list[str] = field(default_factory=list)
    """What is to be seen to before the run."""
    refusals: list[str] = field(default_factory=list)

    def get(self, place: str, default: Any = None) -> Any:
        """A value by its place, such as `datasets.0.path`; a null counts as missing."""
        value: Any = self.recipe
        for part in place.split("."):
            if isinstance(value, list) and part.isdigit():
                value = value[int(part)] if int(part) < len(value) else None
            else:
                value = value.get(part) if isinstance(value, dict) else None
        return default if value is None else value

    def keep(self, place: str, key: str, value: Any, note: str = "") -> Any:
        """The field is the setting `key` here; returns the value."""
        text = f"{key}: {shown(value, place)}"
        self._note(place, Outcome("kept", f"{text} ({note})" if note else text))
        return value

    def answer(self, place: str, text: str) -> None:
        self._note(place, Outcome("answered", text))

    def lose(self, place: str, text: str) -> None:
        self._note(place, Outcome("lost", text))

    def refuse(self, place: str, text: str) -> None:
        self.refusals.append(f"{place}: {text}")

    def _note(self, place: str, outcome: Outcome) -> None:
        if self.get(place) is not None:
            self.outcomes[place] = outcome
        elif outcome.kind == "kept":
            self.assumed[place] = outcome.text

    # ------------------------------------------------------------ values of a type

    def number(self, place: str, default: float | None = None) -> float | None:
        """A number, which YAML 1.1 may have read as text (1e-4)."""
        value = self.get(place, default)
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = float(value)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is None or (is_number and abs(value) < 1e300):  # infinite or no number otherwise
            return value
        self.refuse(place, f"{shown(value, place)} is not a number")
        return default

    def integer(self, place: str, default: int | None = None) -> int | None:
        value = self.number(place, default)
        if value is None or value == int(value):
            return None if value is None else int(value)
        self.refuse(place, f"{shown(value, place)} is not a whole number")
        return default

    def text(self, place: str, default: str | None = None) -> str | None:
        value = self.get(place, default)
        if value is None or isinstance(value, str):
            return value
        self.refuse(place, f"{shown(value, place)} is not a text")
        return default

    def flag(self, place: str, default: bool = False) -> bool:
        value = self.get(place, default)
        if isinstance(value, bool):
            return value
        if value in ("true", "false", "auto"):
            return value != "false"
        self.refuse(place, f"{shown(value, place)} is neither true nor false")
        return default

    # ------------------------------------------------------------ the end

    def scan(self) -> None:
        """Refuse what is never translated, before anything else is looked at."""
        for place, (name, value) in self.program.places(self.recipe).items():
            known = self.program.fields.get(name)
            if known and known.status == "refused" and is_set(value):
                self.refuse(place, known.text)

    def stop_at_refusals(self) -> None:
        if self.refusals:
            lines = "\n".join(f"  - {line}" for line in dict.fromkeys(self.refusals))
            raise UserError(f"This {self.program.title} recipe cannot be translated:\n{lines}")

    def finish(self) -> None:
        """An outcome for each field that has none yet, from the table."""
        places, contrary = self.program.places(self.recipe), self.program.contrary
        for place, (name, value) in places.items():
            if place in self.outcomes:
                continue
            known = self.program.fields.get(name)
            if known is None:
                near = did_you_mean(name, self.program.fields)
                self.outcomes[place] = Outcome("unknown", f"no field of its tables{near}")
            elif name in contrary and value == contrary[name][0]:
                self.outcomes[place] = Outcome("lost", contrary[name][1])
            elif not is_set(value):
                self.outcomes[place] = Outcome("unset", "not set")
            elif known.status in ("always", "unneeded"):
                self.outcomes[place] = Outcome("answered", known.text)
            elif known.status == "ours":
                self.outcomes[place] = Outcome("lost", f"not translated; see {known.text}")
            else:
                self.outcomes[place] = Outcome("lost", f"{MEANINGS['none']}: {known.text}")
        self.outcomes = {place: self.outcomes[place] for place in places}


def shown(value: Any, place: str = "") -> str:
    """A value on one line, for a comment or a message; never a secret."""
    if _SECRET.search(place) and is_set(value):
        return _HIDDEN
    text = json.dumps(_without_secrets(value), default=str)
    return excerpt(_CREDENTIAL.sub(_HIDDEN, text), _LONGEST)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        hidden = {key: _HIDDEN for key in value if _SECRET.search(str(key))}
        return {str(k): hidden.get(k, _without_secrets(part)) for k, part in value.items()}
    return [_without_secrets(part) for part in value] if isinstance(value, list) else value


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def name_of(text: str, otherwise: str) -> str:
    """A name of config.yaml made of a path or an id: its last part."""
    last = re.split(r"[/\\]", text.rstrip("/\\"))[-1]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", last).strip("-._")[:60]
    name = re.sub(r"\.{2,}", ".", name)
    return name if NAME.fullmatch(name) else otherwise
