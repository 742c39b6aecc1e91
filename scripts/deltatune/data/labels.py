"""Labels as they stand in the data: their forms, and the classes that they are of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from deltatune.core.text import excerpt

TRUTHS = ("false", "true")
MOST = 50
"""More labels than this are not taken for classes, unless the source or the settings name them."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def canonical(value: str) -> str:
    """1.0 as 1, True as true: the same label as every format has it; and é in one character, not
    two, as macOS writes it."""
    value = unicodedata.normalize("NFC", value)
    if value.casefold() in TRUTHS:
        return value.casefold()
    whole, point, zeros = value.partition(".")
    is_whole = point and not zeros.strip("0") and whole.removeprefix("-").isdecimal()
    return whole if is_whole else value


def named(value: str, names: Mapping[str, str]) -> str | None:
    """The class of a value; true and false, where these are no values of their own, as 1 and 0."""
    plain = canonical(value)
    forms = (value, plain, {"false": "0", "true": "1"}.get(plain, value))
    return next((names[form] for form in forms if form in names), None)


def without_case(name: str) -> str:
    return " ".join(canonical(name).casefold().split())


def find(values: Iterable[str], source_names: Sequence[str] = ()) -> dict[str, str]:
    """Value in the data -> class, in the order of the classes, where nothing names them.

    values: of the records, each once. source_names: what the source calls the classes, in the order
    of the indices that its records have: the classes, then, with those that no record has.
    Otherwise each value is a class: numbers in their order, anything else sorted. Raises ValueError
    where the source gives two classes one name.
    """
    if source_names:
        names = {str(index): " ".join(name.split()) for index, name in enumerate(source_names)}
        if len({*names.values()}) < len(names) or "" in names.values():
            raise ValueError(
                f"the source of the records calls its classes {list(source_names)}, not each by a "
                "name of its own; name them here by their indices"
            )
        return names | {name: name for name in names.values() if name not in names}
    names = {value.strip(): canonical(" ".join(value.split())) for value in values}
    names.pop("", None)
    place = {name: number for number, name in enumerate(_in_order({*names.values()}))}
    return dict(sorted(names.items(), key=lambda pair: (place[pair[1]], pair[0])))


def _in_order(names: set[str]) -> list[str]:
    if all(_NUMBER.fullmatch(name) for name in names):
        return sorted(names, key=lambda name: (float(name), name))
    return sorted(names)


def doubt(names: Sequence[str], records: int) -> str | None:
    """Why labels that were found are not taken for classes: there are too many, or they differ in
    case alone. records: how many have them."""
    if len(names) > MOST or 2 * len(names) > records:
        shown = ", ".join(f"'{excerpt(name, 40)}'" for name in names[:5])
        return (
            f"{records:,} records have {len(names):,} different labels ({shown}"
            f"{', ...' * (len(names) > 5)}); that many are not taken for classes. Name the classes "
            "here, as a list or as a mapping from the values in the data, or map another column to "
            "`label` under the dataset's `columns`"
        )
    spelled: dict[str, str] = {}
    for name in names:
        if (other := spelled.setdefault(without_case(name), name)) != name:
            return (
                f"the records have '{excerpt(other, 60)}' and '{excerpt(name, 60)}', which differ "
                "in case alone; list both here if they are two classes, or map each value to the "
                "name of its class"
            )
    return None


def described(names: Sequence[str]) -> str:
    """What was found, for the log."""
    shown = ", ".join(f"'{excerpt(name, 40)}'" for name in names[:10])
    more = f" and {len(names) - 10} more" * (len(names) > 10)
    return f"the {len(names)} labels are those of the records, in this order: {shown}{more}"
