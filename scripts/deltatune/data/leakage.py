"""What of the test stands in the training data without being a duplicate: counted, not left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pandas as pd

from deltatune.data.duplicates import comparable_texts, contained, digests, same_as_before
from deltatune.data.reasons import CONTAINED_SHARE, Leak
from deltatune.data.texts import Texts

_SAMPLE = 20_000


def leakage(
    train: pd.DataFrame,
    test: pd.DataFrame,
    text_fields: Sequence[str],
    prompt_fields: Sequence[str],
    answer_fields: Sequence[str],
) -> dict[str, int]:
    """Numbers of test records, by `reasons.Leak`.

    train, test: the splits, without duplicates. text_fields: of a whole record. prompt_fields,
    answer_fields: what is asked and what is answered; a kind without them has no such leaks.
    Prompts are compared as for duplicates; with the same answer they would be duplicates, and are
    in no split. Answers count where they are the same to the character.
    """
    counts = {}
    if prompt_fields:
        counts[Leak.REPEATED_PROMPT] = _repeated(
            comparable_texts(test, prompt_fields), comparable_texts(train, prompt_fields)
        )
    step = max(1, len(train) // _SAMPLE)
    inside = contained(
        Texts(comparable_texts(test, text_fields)),
        comparable_texts(train, text_fields),
        comparable_texts(train.iloc[::step], text_fields),
        CONTAINED_SHARE,
    )
    counts[Leak.CONTAINED] = len(inside)
    if answer_fields:
        counts[Leak.REPEATED_ANSWER] = _repeated(
            _verbatim(test, answer_fields), _verbatim(train, answer_fields)
        )
    return {leak.value: count for leak, count in counts.items()}


def _verbatim(records: pd.DataFrame, fields: Sequence[str]) -> Iterator[str]:
    return map("\x1f".join, zip(*(records[field] for field in fields), strict=True))


def _repeated(texts: Iterable[str], others: Iterable[str]) -> int:
    """How many texts are among the others."""
    before = digests(others)
    repeats = same_as_before(np.concatenate([before, digests(texts)]))
    return sum(original < len(before) <= i for i, original in repeats.items())
