"""Where each piece of a document lies in the packed rows, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deltatune.tokens.encode import IGNORED, NO_PIECE, Encoded

if TYPE_CHECKING:
    import pandas as pd


def table(
    encoded: Encoded, columns: Mapping[str, np.ndarray], records: Sequence[Any]
) -> pd.DataFrame:
    """A row for each piece, as they stand in the packed rows.

    columns: of `encode.pack`. records: the id of each document's record. The columns: record; part
    and parts, from 1; row and start, from 0, in the packed rows; tokens and supervised_tokens; and
    truncated, whether the document lost tokens because it was longer than max_length.
    """
    import pandas as pd

    pieces = columns["pieces"]
    is_start = (columns["position_ids"] == 0) & (pieces != NO_PIECE)
    rows, starts = np.nonzero(is_start)
    order = pieces[rows, starts]
    sources = np.asarray(encoded.sources, dtype=np.int64)
    sizes = np.array([len(ids) for ids in encoded.ids], dtype=np.int64)
    supervised = np.bincount(
        pieces[columns["labels"] != IGNORED].astype(np.int64), minlength=len(sources)
    )
    # Pieces of one document follow each other.
    parts = np.bincount(sources, minlength=encoded.documents)
    first_piece = np.searchsorted(sources, sources)
    return pd.DataFrame(
        {
            "record": np.asarray(records)[sources[order]],
            "part": (np.arange(len(sources)) - first_piece + 1)[order],
            "parts": parts[sources][order],
            "row": rows,
            "start": starts,
            "tokens": sizes[order],
            "supervised_tokens": supervised[order],
            "truncated": np.isin(sources, encoded.truncated)[order],
        }
    )
