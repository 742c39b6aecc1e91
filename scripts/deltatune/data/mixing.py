"""Records of several datasets as one, drawn in given shares."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deltatune.core.errors import UserError
from deltatune.data.mixture_settings import MixtureSettings
from deltatune.data.readers.writer import about_source, add_about
from deltatune.data.reasons import COLUMNS
from deltatune.data.records import ORIGIN_FIELDS, ORIGINS


@dataclass(frozen=True)
class Part:
    """A dataset that is drawn from, as `fetch_dataset` leaves it. rejects: `reasons.COLUMNS`, what
    could not be read; both count as rows."""

    records: pa.Table
    rejects: pd.DataFrame
    classes: Mapping[str, list[str]]
    """Field -> the names of its classes, where the records have their indices."""

    @classmethod
    def read(cls, records: Path, rejects: Path) -> Part:
        left_out = pd.read_csv(rejects, dtype=str, keep_default_na=False)
        left_out["row"] = left_out["row"].astype("int64")
        return cls(pq.read_table(records), left_out, about_source(records)["classes"])

    @property
    def fields(self) -> list[str]:
        return [name for name in self.records.column_names if name != "row"]

    @property
    def rows(self) -> np.ndarray:
        """The numbers of all rows, in order."""
        both = [self.records["row"].to_numpy(), self.rejects["row"].to_numpy()]
        return np.sort(np.concatenate(both))


def mix(
    parts: Mapping[str, Part], settings: MixtureSettings, write: Path, rejects: Path
) -> dict[str, Any]:
    """Write records.parquet and rejects.csv of a mixture, in the form of those of its parts.

    parts: by name, those of `settings.of`. A row keeps the dataset that it is of and its number
    there, see `origins`; `row` counts through the mixture, in which the rows of the parts alternate
    by their shares, so that those before any row are in these shares too. Which rows of a part are
    drawn depends on the seed, its name and its rows: with more of it the same ones stay drawn.

    Returns {"rows", "kept", "rejected", "reasons"} as a reader does; "parts", for each {"weight",
    "rows", "drawn", "unread" (of those drawn), "left"}; and "notes" where there is something to
    say. Raises UserError where there are not so many records, or none of a part.
    """
    where = f"datasets.{settings.dataset}"
    rows = {name: part.rows for name, part in parts.items()}
    counts = sizes({name: len(its) for name, its in rows.items()}, settings, where)
    drawn = {name: _drawn(name, rows[name], counts[name], settings.seed) for name in parts}
    order = _alternating(counts)
    classes, named = _classes(parts)
    tables, left_out = [], []
    for name, part in parts.items():
        numbers = pd.Series(order[name], index=drawn[name])
        tables.append(_renumbered(named.get(name, part.records), numbers, name))
        unread = part.rejects[part.rejects["row"].isin(numbers.index)]
        origin = dict(zip(ORIGINS, (name, unread["row"]), strict=True))
        left_out.append(unread.assign(**origin, row=unread["row"].map(numbers)))
    table = pa.concat_tables(tables, promote_options="default").sort_by("row")
    _write(table, {"classes": classes} if classes else {}, write)
    unread = pd.concat(left_out)[[*COLUMNS, *ORIGINS]].sort_values("row")
    rejects.parent.mkdir(parents=True, exist_ok=True)
    unread.to_csv(rejects, index=False, lineterminator="\n")
    notes = _notes(parts, named, settings.used)
    return {
        "rows": len(table) + len(unread),
        "kept": len(table),
        "rejected": len(unread),
        "reasons": dict(Counter(unread["code"]).most_common()),
        "parts": {
            name: {
                "weight": settings.of[name],
                "rows": len(rows[name]),
                "drawn": counts[name],
                "unread": len(of_part),
                "left": len(rows[name]) - counts[name],
            }
            for (name, _), of_part in zip(parts.items(), left_out, strict=True)
        },
        **({"notes": notes} if notes else {}),
    }


def sizes(rows: Mapping[str, int], settings: MixtureSettings, where: str) -> dict[str, int]:
    """How many rows of each part are drawn, by largest remainders. rows: how many each has."""
    # 0.7 as it is written, not as the nearest binary number.
    weights = {name: Fraction(str(settings.of[name])) for name in rows}
    shares = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    most = min(math.floor(rows[name] / share) for name, share in shares.items())
    total = most if settings.records is None else settings.records
    counts = {name: math.floor(total * share) for name, share in shares.items()}
    by_remainder = sorted(rows, key=lambda name: counts[name] - total * shares[name])
    for name in by_remainder[: total - sum(counts.values())]:
        counts[name] += 1
    for name, count in counts.items():
        if count > rows[name]:
            raise UserError(
                f"{where}.records: {total:,} rows in these shares are {count:,} of '{name}', which "
                f"has {rows[name]:,}, and none is drawn twice; write {most:,} or less, leave "
                f"`records` out, or give '{name}' a smaller weight"
            )
        if not count:
            raise UserError(
                f"{where}.of.{name}: no row of '{name}' is among {total:,} in these shares; give "
                "it a larger weight, or leave it out"
            )
    return counts


def _drawn(name: str, rows: np.ndarray, count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng([seed, *name.encode()])
    return np.sort(rows[generator.permutation(len(rows))[:count]])


def _alternating(counts: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Part -> the rows of the mixture, from 1, that its rows become."""
    places = np.concatenate([(np.arange(count) + 0.5) / count for count in counts.values()])
    numbers = np.empty(len(places), np.int64)
    numbers[np.argsort(places, kind="stable")] = np.arange(1, len(places) + 1)
    ends = np.cumsum(list(counts.values()))[:-1]
    return dict(zip(counts, np.split(numbers, ends), strict=True))


def _renumbered(records: pa.Table, numbers: pd.Series, name: str) -> pa.Table:
    """The drawn ones of the records. numbers: row of the part -> row of the mixture."""
    taken = records.filter(pc.is_in(records["row"], pa.array(numbers.index)))
    rows = taken["row"].to_numpy()
    origin = (pa.array([name] * len(rows), pa.string()), pa.array(rows, pa.int64()))
    taken = taken.set_column(0, "row", pa.array(numbers[rows].to_numpy(), pa.int64()))
    for field, values in zip(ORIGIN_FIELDS, origin, strict=True):
        taken = taken.append_column(field, values)
    return taken


def _classes(
    parts: Mapping[str, Part],
) -> tuple[dict[str, list[str]], dict[str, pa.Table]]:
    """The names of classes that hold for the records of all parts; and the records of parts whose
    names do not, with the names in place of the indices."""
    fields = dict.fromkeys(field for part in parts.values() for field in part.classes)
    shared: dict[str, list[str]] = {}
    named: dict[str, pa.Table] = {}
    for field in fields:
        having = {name: part for name, part in parts.items() if field in part.fields}
        names = [part.classes.get(field) for part in having.values()]
        if all(one == names[0] for one in names):
            shared[field] = names[0]
            continue
        for name, part in having.items():
            if field in part.classes:
                table = named.get(name, part.records)
                named[name] = _with_names(table, field, part.classes[field])
    return shared, named


def _with_names(records: pa.Table, field: str, names: list[str]) -> pa.Table:
    by_index = {str(index): name for index, name in enumerate(names)}
    values = [by_index.get(value, value) for value in records[field].to_pylist()]
    place = records.column_names.index(field)
    return records.set_column(place, field, pa.array(values, pa.string()))


def _write(table: pa.Table, about: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(add_about(table, about), path, compression="zstd")


def _notes(parts: Mapping[str, Part], named: Mapping[str, Any], used: Sequence[str]) -> list[str]:
    """What was understood of labels, and which fields of tasks a part lacks."""
    notes = [f"labels of '{name}' are read by the names that its source has" for name in named]
    there = {field for part in parts.values() for field in part.fields}
    for name, part in parts.items():
        lacking = [f"`{field}`" for field in used if field in there and field not in part.fields]
        if lacking:
            notes.append(f"'{name}' has no {', '.join(lacking)}")
    return notes
