"""The fields that `columns` of a data set asks for: columns, nested values, templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any, NamedTuple

from deltatune.core.errors import UserError
from deltatune.core.text import did_you_mean, excerpt
from deltatune.data.readers.base import COLUMN_LIMIT
from deltatune.data.readers.values import as_json, as_text, converted, inside, joined
from deltatune.data.reasons import Reason
from deltatune.data.records import ALSO_CALLED, GROUP, STRUCTURED

Columns = dict[str, str | list[str]]
"""Field -> column, dotted path, template, or several of the first two."""


class Place(NamedTuple):
    """Where a value is: a column, and the keys below it."""

    column: str
    path: tuple[str, ...] = ()


_TEMPLATE = (
    "a template has names of columns in braces, such as '{title} ({year}): {body}'; write {{ and "
    "}} for braces that stay"
)

Piece = str | Place
"""Of a template: text, or what stands in its place."""


@dataclass(frozen=True)
class Field:
    """One field of the records. pieces: what is joined; joint: with what between, None for a
    template, whose pieces follow each other."""

    name: str
    pieces: tuple[Piece, ...]
    joint: str | None = " "

    @property
    def columns(self) -> list[str]:
        return [piece.column for piece in self.pieces if isinstance(piece, Place)]

    @property
    def is_plain(self) -> bool:
        """Whether it is the value of one column, or in one."""
        return self.joint is not None and len(self.pieces) == 1

    @property
    def is_column(self) -> bool:
        return self.is_plain and not self.pieces[0].path

    def of_value(self, value: Any) -> str | Reason | None:
        """The text of one value of it."""
        return as_json(value) if self.name in STRUCTURED else as_text(value)

    def converted(self, value: Any) -> str | None:
        """The type of a value whose text is worth a word."""
        return None if self.name in STRUCTURED else converted(value)

    def text(self, values: dict[str, Any]) -> str | Reason | None:
        """Its text in a record, None where all its values are missing, or why it has none.

        values: column -> value.
        """
        as_piece = self.of_value if self.joint is not None else joined
        texts: list[str | None] = []
        for piece in self.pieces:
            if isinstance(piece, str):
                continue
            value = values[piece.column]
            text = as_piece(inside(value, piece.path) if piece.path else value)
            if isinstance(text, Reason):
                return text
            texts.append(text)
        if self.is_plain:
            return texts[0]
        if all(text is None for text in texts):
            return None
        if self.joint is None:
            filled = iter(texts)
            return as_text(
                "".join(p if isinstance(p, str) else next(filled) or "" for p in self.pieces)
            )
        return as_text(self.joint.join(text for text in texts if text and text.strip()))


def template(text: str) -> list[tuple[str, str | None]] | None:
    """(text, name behind it) of a template such as "{title}: {body}", None where it is none.

    Raises ValueError that says what is wrong with it.
    """
    if "{" not in text:
        return None
    try:
        parsed = list(Formatter().parse(text))
    except ValueError as error:
        raise ValueError(f"'{text}': {error}; {_TEMPLATE}") from None
    named = [part[1:] for part in parsed if part[1] is not None]
    if not named or any(spec or conversion or not name.strip() for name, spec, conversion in named):
        raise ValueError(f"'{text}': {_TEMPLATE}")
    return [(literal, name and name.strip()) for literal, name, _, _ in parsed]


def mapped(
    columns: Columns, names: list[str], named: str, where: str, used: Sequence[str] = ()
) -> list[Field]:
    """The fields of `columns`, or without any every column under its own name.

    names: columns of the source; named: what messages call it. used: fields that tasks have: where
    no column has such a name, one that differs in case alone is taken for it. Raises UserError for
    a column that is not there or there twice.
    """
    where = f"{where}.columns"
    if columns:
        fields = [_field(name, given, names, named, where) for name, given in columns.items()]
    else:
        if len(names) > COLUMN_LIMIT:
            raise UserError(
                f"{where}: {named} has more than {COLUMN_LIMIT} columns; name the ones to read"
            )
        fields = [Field(_own_name(name, names, used), (Place(name),)) for name in names]
        if used:
            # What no task asks for need not have a name of its own.
            fields = [f for f in fields if f.name in used or _is_kept(f.name, names)]
        _check_once([field.columns[0] for field in fields], names, named, where)
    if any(field.name == "row" for field in fields):
        raise UserError(
            f"{where}: a field cannot be called 'row', which is the number of the record; "
            "map the columns that you need, the column 'row' to a field of another name"
        )
    return fields


def of_groups(groups: Sequence[str], names: list[str], named: str, where: str) -> list[Field]:
    """Columns that only a split asks for."""
    for column in groups:
        if names.count(column) > 1:
            raise UserError(
                f"{where}: `split` of its task names '{excerpt(column)}', and {named} has "
                f"{names.count(column)} columns of that name; give them names of their own"
            )
        if _place(column, names) is None:
            raise UserError(
                f"{where}: `split` of its task names '{excerpt(column)}', and "
                f"{_no_column(column, names, named)}"
            )
    return [Field(f"{GROUP}{column}", (_place(column, names),)) for column in groups]


def renamed(fields: Sequence[Field]) -> dict[str, str]:
    """Field -> the column that it was recognized in."""
    return {
        field.name: field.columns[0]
        for field in fields
        if field.is_column and _is_name(field.columns[0], field.name)
        if field.name != field.columns[0]
    }


def _is_kept(column: str, names: list[str]) -> bool:
    return column != "row" and names.count(column) == 1


def _is_name(column: str, field: str) -> bool:
    """Whether a column is taken for a field, its case and the field's other name apart."""
    return column.strip().casefold() in (field.casefold(), ALSO_CALLED.get(field))


def _own_name(column: str, names: list[str], used: Sequence[str]) -> str:
    for field in used:
        alike = [name for name in names if _is_name(name, field)]
        if field not in names and alike == [column]:
            return field
    return column


def _field(name: str, given: str | list[str], names: list[str], named: str, where: str) -> Field:
    where = f"{where}.{name}"
    parts = template(given) if isinstance(given, str) and given not in names else None
    if parts is not None:
        pieces: list[Piece] = []
        for text, column in parts:
            pieces += [text] if text else []
            pieces += [_required(column, names, named, where)] if column is not None else []
        return Field(name, tuple(pieces), joint=None)
    given = [given] if isinstance(given, str) else given
    if not given:
        raise UserError(f"{where}: name at least one column of {named}")
    return Field(name, tuple(_required(column, names, named, where) for column in given))


def _required(reference: str, names: list[str], named: str, where: str) -> Place:
    place = _place(reference, names)
    if place is None:
        raise UserError(f"{where}: {_no_column(reference, names, named)}")
    _check_once([place.column], names, named, where)
    return place


def _place(reference: str, names: list[str]) -> Place | None:
    """A column, or a path below one: of `a.b.c` the longest name that is a column counts."""
    if reference in names:
        return Place(reference)
    keys = reference.split(".")
    for count in range(len(keys) - 1, 0, -1):
        column = ".".join(keys[:count])
        if column in names and all(keys[count:]):
            return Place(column, tuple(keys[count:]))
    return None


def _check_once(columns: list[str], names: list[str], named: str, where: str) -> None:
    twice = next((column for column in columns if names.count(column) > 1), None)
    if twice is not None:
        raise UserError(
            f"{where}: {named} has {names.count(twice)} columns called '{excerpt(twice)}'; give "
            "them names of their own"
        )


def _no_column(column: str, names: list[str], named: str) -> str:
    listed = ", ".join(excerpt(name, 40) for name in names[:30])
    more = f" and {len(names) - 30} more" if len(names) > 30 else ""
    return (
        f"{named} has no column '{column}'{did_you_mean(column, names)}; "
        f"its columns are: {listed}{more}"
    )
