"""Several files, or several splits, as one source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from deltatune.core.text import excerpt
from deltatune.data.readers.base import Row, Source
from deltatune.data.readers.files import File, labels
from deltatune.data.records import GIVEN

NOTES = 5
"""Notes on single files that are given."""


class Joined:
    """The records of several files, one after the other; where a column is missing in one of them,
    its records have no value there. Columns that differ in case alone are one.

    splits: of each file, the split that its records are; they have it in `records.GIVEN`, which is
    not among `names`.
    """

    def __init__(
        self,
        files: Sequence[File],
        open: Callable[[File], Source],
        splits: Sequence[str] | None = None,
    ) -> None:
        self.files, self.open = dict(zip(labels(files), files, strict=True)), open
        self.splits = dict(zip(self.files, splits, strict=True)) if splits else None
        self.columns: dict[str, list[str]] = {}
        self.own_names: dict[str, dict[str, str]] = {}
        """For each file: column -> what the file calls it."""
        self._names: list[str] = []
        self._alike: dict[str, list[str]] = {}
        """Name without regard to case -> the columns that are called so, in their order."""
        self.classes: dict[str, list[str]] = {}
        """Column -> the names of the classes whose indices it has, where all files say the same."""
        named: dict[str, list[list[str] | None]] = {}
        notes: list[str] = []
        for name, file in self.files.items():
            # Not kept: a list of JSON is in memory as a whole.
            source = open(file)
            own = source.names()
            columns = [self._known_as(column, own) for column in own]
            self.columns[name], self.own_names[name] = columns, dict(zip(columns, own, strict=True))
            self._add(columns)
            classes = getattr(source, "classes", {})
            for column, own_name in self.own_names[name].items():
                named.setdefault(column, []).append(classes.get(own_name))
            notes += getattr(source, "notes", [])
        notes += self._lacking()
        notes += self._agree(named)
        self.notes = notes[:NOTES]
        if len(notes) > NOTES:
            self.notes.append(f"and {len(notes) - NOTES} more of this kind")
        self.facts: dict[str, Any] = {"files": dict.fromkeys(self.files, 0)}
        """For the manifest: "files", the number of records of each, and "splits", that of each
        split."""

    def names(self) -> list[str]:
        return self._names

    def _add(self, columns: Sequence[str]) -> None:
        known = Counter(self._names)
        for name, count in Counter(columns).items():
            if name not in known:
                self._alike.setdefault(name.casefold(), []).append(name)
            # A name that is twice in one of them stays twice.
            self._names += [name] * (count - known[name])

    def _known_as(self, column: str, own: Sequence[str]) -> str:
        """The name that a file before this one has for a column. own: all columns of this one."""
        if [one for one in own if one.casefold() == column.casefold()] != [column]:
            return column
        earlier = self._alike.get(column.casefold(), [])
        return next((name for name in earlier if name not in own), column)

    def _agree(self, named: Mapping[str, Sequence[list[str] | None]]) -> list[str]:
        """Take the names of classes that all files have, and say where they have others. named:
        column -> the names in each file that has it."""
        notes = []
        for column, names in named.items():
            if names[0] and all(others == names[0] for others in names):
                self.classes[column] = names[0]
            elif any(names):
                which = f"'{excerpt(column, 40)}': not all files name its classes alike"
                notes.append(f"{which}, so its values stay as they are")
        return notes

    def _lacking(self) -> list[str]:
        names = dict.fromkeys(self.names())
        notes = []
        for file, columns in self.columns.items():
            if lacking := [f"'{excerpt(name, 40)}'" for name in names if name not in columns]:
                more = ", ..." if len(lacking) > 5 else ""
                notes.append(f"{file} has no column {', '.join(lacking[:5])}{more}")
        return notes

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for name, file in self.files.items():
            there = [column for column in wanted if column in self.columns[name]]
            places = [there.index(c) if c in there else None for c in wanted]
            constant = {GIVEN: self.splits[name]} if self.splits else {}
            for values in self.open(file).rows([self.own_names[name][c] for c in there]):
                self.facts["files"][name] += 1
                if isinstance(values, list) and len(there) < len(wanted):
                    yield [
                        constant.get(column) if place is None else values[place]
                        for column, place in zip(wanted, places, strict=True)
                    ]
                else:
                    yield values
            if self.splits:
                counts = self.facts.setdefault("splits", {})
                split = self.splits[name]
                counts[split] = counts.get(split, 0) + self.facts["files"][name]


class Splits:
    """The records of several sources, one after the other, each a split; `records.GIVEN` has it."""

    def __init__(self, splits: Mapping[str, Source]) -> None:
        self.splits = splits
        self.classes = {c: n for s in splits.values() for c, n in getattr(s, "classes", {}).items()}
        """Column -> the names of the classes whose indices it has."""
        self.facts: dict[str, Any] = {"splits": dict.fromkeys(splits, 0)}
        """For the manifest: "splits", the number of records of each."""

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for one in self.splits.values() for name in one.names()))

    def rows(self, wanted: list[str]) -> Iterator[Row]:
        for split, source in self.splits.items():
            names = source.names()
            there = [column for column in wanted if column in names]
            for values in source.rows(there):
                self.facts["splits"][split] += 1
                if isinstance(values, list):
                    record = {**dict(zip(there, values, strict=True)), GIVEN: split}
                    yield [record.get(column) for column in wanted]
                else:
                    yield values
