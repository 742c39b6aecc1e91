"""The limits that hold in a run, of those in `limit_list`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deltatune.report.data import ReportData
from deltatune.report.labels import shorten
from deltatune.report.words.limit_list import LIMITS, Details, Limit

NAMED = 200
"""Columns of a label or of a job in a list of them."""


@dataclass(frozen=True)
class Shown:
    """A limit that holds in a run."""

    limit: Limit
    details: Details

    def __str__(self) -> str:
        """Plain text, nothing escaped."""
        return _fill(self.limit.sentence, self.details)

    @property
    def short(self) -> str:
        return _fill(self.limit.short, self.details)


def shown(data: ReportData) -> list[Shown]:
    """The limits that hold, the heaviest first, each sentence once."""
    every = [Shown(limit, details) for limit in LIMITS for details in limit.condition(data)]
    unique = list({str(one): one for one in every}.values())
    return sorted(unique, key=lambda one: -one.limit.weight)


def strongest(data: ReportData) -> Shown | None:
    """The heaviest limit that holds."""
    return next((one for one in shown(data) if one.limit.weight), None)


def _fill(template: str, details: Details) -> str:
    return template.format_map({name: _written(value) for name, value in details.items()})


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shorten(one, NAMED) for one in value)
    return f"{value:,}"
