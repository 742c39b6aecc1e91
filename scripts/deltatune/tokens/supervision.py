"""Records of which nothing is trained on: none of their tokens has a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from deltatune.core.errors import UserError
from deltatune.data.reasons import Code, Reason
from deltatune.tokens.encoded import Encoded

MASKED = Reason(Code.MASKED)
NAMED, REASONS = 10, 3
"""So many records and reasons are named in a message; the manifest has all of them."""


def unsupervised(encoded: Encoded) -> dict[int, Reason]:
    """Document -> why the loss is taken on none of its tokens, in the order of the documents."""
    sources = np.array(encoded.sources, dtype=np.int64)
    unlearned = np.setdiff1d(sources, sources[encoded.supervised > 0]).tolist()
    masked = dict.fromkeys(unlearned, MASKED)
    return dict(sorted({**dict(encoded.dropped), **masked}.items()))


def notice(
    documents: Mapping[int, Reason], records: Sequence[Any], task: str, split: str, max_length: int
) -> str | None:
    """What there is to say of the documents that `unsupervised` gives; None if there are none.

    records: the id of each document's record. Raises UserError where no record of the training
    split is left.
    """
    if not documents:
        return None
    by_reason: dict[Reason, list[int]] = {}
    for document, reason in documents.items():
        by_reason.setdefault(reason, []).append(document)
    named = "; ".join(
        f"{reason}: {_listed([records[n] for n in by_reason[reason]])}"
        for reason in [*by_reason][:REASONS]
    )
    named += f"; and {len(by_reason) - REASONS} other reasons" if len(by_reason) > REASONS else ""
    advice = " ".join(dict.fromkeys(_advice(r, task, split, max_length) for r in by_reason))
    if split == "train" and len(documents) == len(records):
        raise UserError(
            f"tasks.{task}: there is nothing to train on: no token of the {len(records)} records "
            f"of the training split has a label ({named}). {advice}"
        )
    return (
        f"tasks.{task}: nothing is trained on in {len(documents)} of {len(records)} records of "
        f"{split} ({named}). {advice}"
    )


def _listed(records: Sequence[Any]) -> str:
    names = ", ".join(str(record) for record in records[:NAMED])
    more = len(records) - NAMED
    return f"records {names} and {more} more" if more > 0 else f"records {names}"


def _advice(reason: Reason, task: str, split: str, max_length: int) -> str:
    if reason.code in (Code.LONGER, Code.NO_ROOM, Code.NO_TURN):
        return f"Raise tasks.{task}.max_length ({max_length}) to keep them."
    return f"Look at them in results/tasks/{task}/{split}.parquet."
