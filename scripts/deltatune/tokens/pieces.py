"""Where each piece of a document lies in the packed rows, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deltatune.tokens.encoded import Encoded, Packed

if TYPE_CHECKING:
    import pandas as pd


def table(encoded: Encoded, packed: Packed, records: Sequence[Any]) -> pd.DataFrame:
    """A row for each piece, as they stand in the packed rows.

    records: the id of each document's record. The columns: record; part
    and parts, from 1; row and start, from 0, in the packed rows; tokens and supervised_tokens; and
    truncated, whether the document lost tokens because it was longer than max_length.
    """
    import pandas as pd

    order = packed.pieces
    sources = np.array(encoded.sources, dtype=np.int64)
    # Pieces of one document follow each other.
    parts = np.bincount(sources, minlength=encoded.documents)
    first_piece = np.searchsorted(sources, sources)
    return pd.DataFrame(
        {
            "record": np.asarray(records)[sources[order]],
            "part": (np.arange(len(sources)) - first_piece + 1)[order],
            "parts": parts[sources][order],
            "row": packed.row_of,
            "start": packed.starts,
            "tokens": encoded.sizes[order],
            "supervised_tokens": encoded.supervised[order],
            "truncated": np.isin(sources, encoded.truncated)[order],
        }
    )
