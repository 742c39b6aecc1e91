"""Whether a result was made with the settings of this run, by what its manifest says.

Snakemake knows what made a result from its own records, in .snakemake. Where these are gone, it
takes whatever is there for finished.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from deltatune.core import hashing

_ABSENT = object()
_LONGEST = 60


def fingerprint(settings: Any) -> str:
    """Of settings, the same before and after they were written to a manifest."""
    return hashing.fingerprint(_as_written(settings))


def differences(made: Any, now: Any) -> list[str]:
    """`lora.rank is 16, now 4` for each setting that a manifest has otherwise than this run."""
    return [
        f"{key or 'settings'} is {_short(before)}, now {_short(after)}"
        for key, before, after in _different(_as_written(made), _as_written(now), "")
    ]


def _as_written(settings: Any) -> Any:
    """As a manifest has them, without what is not set: a key that an earlier version did not know
    was not set either."""
    return json.loads(json.dumps(settings), object_hook=_set_alone)


def _set_alone(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if value is not None}


def _different(made: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if not (isinstance(made, Mapping) and isinstance(now, Mapping)):
        if made != now:
            yield key, made, now
        return
    for name in dict.fromkeys([*now, *made]):
        inner = f"{key}.{name}".removeprefix(".")
        yield from _different(made.get(name, _ABSENT), now.get(name, _ABSENT), inner)


def _short(value: Any) -> str:
    if value is _ABSENT:
        return "not set"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."
