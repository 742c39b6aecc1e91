"""The first packed rows of a task: their documents, and in them what the loss is taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from deltatune.preview.tokens import Token, tokens
from deltatune.tokens.encoded import IGNORED

if TYPE_CHECKING:
    import pandas as pd

ROWS = 3
"""Rows of a task that are shown."""


@dataclass(frozen=True)
class Run:
    """Tokens that follow each other and are all supervised, or none of them."""

    supervised: bool
    length: int
    """How many tokens they are."""
    head: list[Token]
    tail: list[Token]
    left_out: int
    """Tokens between head and tail that are not shown."""


@dataclass(frozen=True)
class Piece:
    """A document in a row, or a part of one."""

    record: Any
    """The id of its record."""
    part: int
    parts: int
    start: int
    """Its first token in the row, from 0."""
    length: int
    supervised: int
    """Of so many of its tokens the loss is taken."""
    truncated: bool
    """Whether tokens are left out, since the document is longer than max_length."""
    runs: list[Run]


@dataclass(frozen=True)
class Row:
    number: int
    """From 0."""
    length: int
    padding: int
    pieces: list[Piece]


def read(
    rows: Sequence[Mapping[str, Sequence[int]]], pieces: pd.DataFrame, tokenizer: Any, keep: int
) -> list[Row]:
    """The packed rows with their pieces.

    rows: the first of them, with `input_ids` and `labels`. pieces: as of `tokens.pieces.table`.
    keep: most tokens of a run to show, those of its beginning and its end.
    """
    shown = []
    for number, row in enumerate(rows):
        inside = []
        for piece in pieces[pieces["row"] == number].sort_values("start").to_dict("records"):
            stop = piece["start"] + piece["tokens"]
            ids = list(row["input_ids"][piece["start"] : stop])
            labels = list(row["labels"][piece["start"] : stop])
            inside.append(
                Piece(
                    record=piece["record"],
                    part=piece["part"],
                    parts=piece["parts"],
                    start=piece["start"],
                    length=piece["tokens"],
                    supervised=piece["supervised_tokens"],
                    truncated=piece["truncated"],
                    runs=runs(ids, labels, tokenizer, keep),
                )
            )
        length = len(row["input_ids"])
        shown.append(Row(number, length, length - sum(piece.length for piece in inside), inside))
    return shown


def runs(ids: Sequence[int], labels: Sequence[int], tokenizer: Any, keep: int) -> list[Run]:
    """The runs of a piece. keep: as of `read`."""
    shown, start = [], 0
    for supervised, group in groupby(label != IGNORED for label in labels):
        length = len(list(group))
        inside = ids[start : start + length]
        start += length
        head, tail = (inside, []) if length <= keep else (inside[: keep - keep // 3],
                                                          inside[length - keep // 3 :])  # fmt: skip
        shown.append(
            Run(
                supervised,
                length,
                tokens(head, tokenizer),
                tokens(tail, tokenizer),
                length - len(head) - len(tail),
            )
        )
    return shown
