"""The examples as one compressed text in the page, which its script unpacks.

JSON with a list for each column, since values that are alike pack best beside each other; gzip;
then base64, in which nothing can end an element of the page. The same examples, the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from deltatune.report import examples
from deltatune.report.examples import ExampleTable
from deltatune.report.labels import record_id
from deltatune.report.text import brief, clean

LIMIT = 4000
"""Characters of a text that are carried; what follows is counted."""
LABEL = 200
"""Characters of a label, which is a name."""
BUDGET = 11_000_000
"""Characters of the compressed text at most: the page stays below 12 MB."""
UNPACKED = 24_000_000
"""Bytes of it at most once it is unpacked, which is what the time to load depends on: texts that
are alike take little of the budget."""
ROWS = 30_000
"""Rows of the list at most, of all experiments."""
LETTERS = {examples.BETTER: "b", examples.SAME: "s", examples.WORSE: "w", examples.UNSCORED: "u"}


@dataclass(frozen=True)
class Island:
    text: str
    """base64 of gzip of JSON, see `columns`"""
    tables: list[ExampleTable]
    """What is carried."""


def build(tables: Sequence[ExampleTable], budget: int = BUDGET, unpacked: int = UNPACKED) -> Island:
    """As many of the examples as fit."""
    kept = limited(tables)
    while True:
        source = encode([columns(table) for table in kept])
        most = max((len(table.records) for table in kept), default=0)
        share = unpacked / len(source)
        if share >= 1 or most <= 2:
            text = pack(source)
            share = budget / len(text)
            if share >= 1 or most <= 2:
                return Island(text, list(kept))
        # A little less than the share, since what is left packs a little worse.
        limit = max(2, min(most - 1, int(0.97 * most * share)))
        kept = [table.thin(limit) for table in kept]


def limited(tables: Sequence[ExampleTable], rows: int = ROWS) -> list[ExampleTable]:
    """Tables whose lists have about `rows` rows in all, each as many as another."""
    lists = max(1, sum(len(table.tuned) for table in tables))
    return [table.thin(max(12, rows // lists)) for table in tables]


def encode(tables: list[dict[str, Any]]) -> bytes:
    """Tables of `columns` as JSON."""
    text = json.dumps(
        {"tables": tables}, ensure_ascii=False, allow_nan=False, sort_keys=True,
        separators=(",", ":"),
    )  # fmt: skip
    return text.encode()


def pack(source: bytes) -> str:
    """JSON, compressed."""
    return base64.b64encode(gzip.compress(source, 9, mtime=0)).decode("ascii")


def unpack(text: str) -> list[dict[str, Any]]:
    """The tables of a packed text."""
    return json.loads(gzip.decompress(base64.b64decode(text)))["tables"]


def columns(table: ExampleTable) -> dict[str, Any]:
    """A table for the script. Of each text column C, C_left has {row: characters left out}."""
    labels = _labels(table)
    return {
        "task": clean(table.task),
        "outputs": table.outputs,
        "unit": table.unit,
        "metric": clean(table.title),
        "higher": table.higher_is_better,
        "tested": table.tested,
        "id": [record_id(one) for one in table.records["id"].tolist()],
        **_texts(table.records, "prompt"),
        **_outputs(table, table.records, "reference"),
        "labels": [brief(label, LABEL) for label in labels],
        "base": _system(table, table.base, labels),
        "experiments": [
            {
                "name": clean(name),
                "seeds": list(seeds),
                "side": _sides(table.gains(name)),
                "counts": dict(table.counts.get(name, {})),
                "tuned": [
                    _system(table, frame, labels) | {"side": _sides(_gains_of_seed(table, frame))}
                    for frame in seeds.values()
                ],
            }
            for name, seeds in table.tuned.items()
        ],
    }


def _gains_of_seed(table: ExampleTable, frame: pd.DataFrame) -> np.ndarray:
    if not table.metric:
        return np.full(len(frame), np.nan)
    return examples.gains(table.base["score"], [frame["score"]], table.higher_is_better)


def _sides(gains: np.ndarray) -> str:
    """A letter for each example."""
    return "".join(LETTERS[side] for side in examples.sides(pd.Series(gains)))


def _system(table: ExampleTable, frame: pd.DataFrame, labels: Sequence[str]) -> dict[str, Any]:
    columns: dict[str, Any] = {}
    if "output" in frame:
        columns |= _outputs(table, frame, "output")
    if "score" in frame:
        columns["score"] = [_number(score) for score in frame["score"]]
    for name in ("right", "truncated", "empty"):
        if name in frame:
            columns[name] = "".join("1" if one else "0" for one in frame[name])
    if "shares" in frame:
        places = {label: place for place, label in enumerate(labels)}
        columns["shares"] = [
            [[places[label], round(share, 4)] for label, share in one.items()]
            for one in frame["shares"]
        ]
    return columns


def _labels(table: ExampleTable) -> list[str]:
    """Those with shares, each once."""
    frames = [table.base, *(one for seeds in table.tuned.values() for one in seeds.values())]
    rows = (shares for frame in frames if "shares" in frame for shares in frame["shares"])
    return list(dict.fromkeys(label for shares in rows for label in shares))


def _outputs(table: ExampleTable, frame: pd.DataFrame, name: str) -> dict[str, Any]:
    """What a system puts out, or was to put out."""
    if table.outputs != "labels":
        return _texts(frame, name)
    return {name: [brief(label, LABEL) for label in frame[name]], f"{name}_left": {}}


def _texts(frame: pd.DataFrame, name: str) -> dict[str, Any]:
    texts = [clean(text) for text in frame[name]]
    left = {row: len(text) - LIMIT for row, text in enumerate(texts) if len(text) > LIMIT}
    return {name: [text[:LIMIT] for text in texts], f"{name}_left": left}


def _number(value: float) -> float | None:
    """Six digits: more than are shown."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
