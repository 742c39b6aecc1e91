"""Records that are longer than a row: what becomes of them, and where that is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from deltatune.core.errors import UserError
from deltatune.data.reasons import COLUMNS, Reason
from deltatune.tokens.settings import Overflow, Truncation

if TYPE_CHECKING:
    import pandas as pd

NAMED = 5
"""So many records are named in a message."""


def shortening_of(
    truncation: Truncation, overflow: Overflow
) -> Literal["truncate", "shorten_prompt", "leave_out_turns", "split", "drop"]:
    """How `encode` makes long documents fit. truncation: of the kind of the task. Those that are
    refused are left out there; `refuse` stops because of them."""
    if overflow == "truncate":
        return truncation
    return "drop" if overflow == "refuse" else overflow


def refuse(too_long: Mapping[int, int], records: Sequence[Any], place: str, limit: str) -> None:
    """Stop where there are records that are too long, with their numbers and lengths.

    too_long: document -> its tokens. records: the id of each document's record. place: the task
    and the split, such as `tasks.news: train`. limit: what they do not fit into, such as
    `max_length (512 tokens)`. Raises UserError unless too_long is empty.
    """
    if not too_long:
        return
    longest = max(too_long.values())
    named = ", ".join(f"row {records[n]} ({too_long[n]:,} tokens)" for n in [*too_long][:NAMED])
    more = f" and {len(too_long) - NAMED:,} more" if len(too_long) > NAMED else ""
    raise UserError(
        f"{place}: {len(too_long):,} of {len(records):,} records are longer than {limit}: "
        f"{named}{more}; the longest has {longest:,} tokens. With `overflow: refuse` nothing is "
        "cut: shorten these records, raise what they do not fit into, or write `overflow: "
        "truncate` or `overflow: drop`."
    )


def excluded(
    unsupervised: Mapping[int, Reason], records: Sequence[Any], too_long: Mapping[int, int]
) -> pd.DataFrame:
    """A row for each record that nothing is trained on: the columns of `reasons.COLUMNS` but the
    excerpt, and the tokens of those that are too long.

    unsupervised: as of `supervision.unsupervised`. records, too_long: as of `refuse`.
    """
    import pandas as pd

    rows = [
        (records[n], reason.field, reason.code.value, str(reason), too_long.get(n))
        for n, reason in unsupervised.items()
    ]
    frame = pd.DataFrame(rows, columns=[*COLUMNS[:-1], "tokens"])
    return frame.astype({"tokens": "Int64"})
