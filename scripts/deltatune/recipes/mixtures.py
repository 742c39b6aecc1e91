"""Several data sets of a recipe as one mixture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deltatune.recipes.translation import Translation, shown


@dataclass(frozen=True)
class Source:
    """section: of `datasets`. count: how many of its records the recipe takes; None: all."""

    name: str
    section: dict[str, Any]
    count: int | None = None


def mixture(
    sources: Sequence[Source], shares: Sequence[float] | None = None
) -> tuple[str, dict[str, dict[str, Any]]]:
    """(its name, the sections of `datasets`: of each source, and then its own).

    shares: of the rows, by source, until one has none left. None: every record that is taken of
    each, and equal shares where their number is not known.
    """
    sections: dict[str, dict[str, Any]] = {}
    of: dict[str, float] = {}
    counts = [source.count for source in sources]
    known = None not in counts
    weights = shares or (counts if known else [1] * len(sources))
    for source, weight in zip(sources, weights, strict=True):
        name, number = source.name, 2
        while name in sections:
            name, number = f"{source.name}-{number}", number + 1
        sections[name], of[name] = source.section, weight
    own: dict[str, Any] = {"source": "mixture", "of": of}
    if known:
        whole = sum(weights)
        most = min(count * whole / weight for count, weight in zip(counts, weights, strict=True))
        own["records"] = max(2, round(most))
    name = f"{sources[0].name}-mixture"
    return name, sections | {name: own}


def not_all(t: Translation, place: str, name: str) -> None:
    """Say that the number of records is to be written where all of each are taken."""
    key = f"datasets.{name}.of"
    t.lose(place, f"{key}: equal shares; all records of each are taken by the recipe")
    t.to_do.append(
        f"{key}: write there how many records each has, to take all of them as {t.program.title} "
        f"does; equal shares take of each as many as the smallest has"
    )


def shares(t: Translation, place: str, count: int) -> list[float] | None:
    """The numbers of a text "0.3,0.7" or of a list; None where there are none."""
    given = t.get(place)
    if given is None:
        return None
    parts = given.split(",") if isinstance(given, str) else given
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != count or not all(0 < number < 1e300 for number in numbers):
        t.refuse(place, f"{shown(given)}: give a number above 0 for each of the {count} data sets")
        return None
    return t.keep(place, "datasets.NAME.of", numbers)
