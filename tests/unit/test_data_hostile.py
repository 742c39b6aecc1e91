"""Data sets that are right as files and wrong as data: each is used, or refused with what to do."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.data import prepare
from deltatune.data.readers import read
from deltatune.tasks.registry import load_kind
from stage_settings import split_settings

LABELS = ["World", "Sports"]
WORDS = ["amber", "birch", "cedar", "dune", "ember", "fjord", "grove", "heath"]
GOOD = [
    {"text": f"{WORDS[i % 8]} {WORDS[i // 8]} is number {i} of many", "label": LABELS[i % 2]}
    for i in range(40)
]


def write(rows: list[dict], path, format: str):
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys(k for row in rows for k in row)) or ["x"])
    if format in ("csv", "tsv"):
        frame.to_csv(path, index=False, sep="," if format == "csv" else "\t")
    elif format == "parquet":
        frame.to_parquet(path, index=False)
    else:
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n".join(lines) if format == "jsonl" else f"[{','.join(lines)}]")


def use(rows: list[dict], format: str, folder, **split):
    path = folder / f"d.{format}"
    write(rows, path, format)
    counts = read.read_records(
        path, None, {}, folder / "r.parquet", folder / "rejects.csv", "datasets.d"
    )
    settings = split_settings("classify", labels=LABELS, split=split)
    frame = pd.read_parquet(folder / "r.parquet")
    split, split_counts = prepare.prepare(frame, load_kind("classify"), settings)
    assert counts["rows"] == counts["rejected"] + split_counts["records"]
    return split


def labeled(*labels, count=40):
    return [{**row, "label": labels[i % len(labels)]} for i, row in enumerate(GOOD[:count])]


REFUSED = {
    "one row": (GOOD[:1], "tasks.t.labels: no record is labeled 'Sports'"),
    "two rows": (GOOD[:2], "training, validation and test need one each; give more data"),
    "no row": ([], "datasets.d"),
    "one class": (labeled("World"), "tasks.t.labels: no record is labeled 'Sports'"),
    "a class of one": (
        [*labeled("World"), {"text": "one of its own", "label": "Sports"}],
        "stratified needs three records of each label, one for each split, and 'Sports' has 1",
        {"method": "stratified"},
    ),
    "duplicates only": (
        [GOOD[0]] * 20 + [GOOD[1]] * 20,
        "2 records are left to split (40 usable records, 38 duplicates)",
    ),
    "labels out of range": (labeled("0", "1", "2"), "unknown label '2'"),
    "negative labels": (labeled("-1", "0"), "unknown label '-1'"),
    "labels in other case": (labeled("world", "sports"), "did you mean 'World'?"),
    "no labels": ([{"text": row["text"]} for row in GOOD], "its records need `label`"),
    "no texts": ([{"label": row["label"]} for row in GOOD], "its records need `text`"),
    "empty labels": (labeled("World", "", "Sports"), "label: empty, 13 records, the first is row"),
    "blank texts": ([{**row, "text": " \t"} for row in GOOD], "text: empty, 40 records, the first"),
    "contradictions": (
        [{"text": "the same words", "label": LABELS[i % 2]} for i in range(40)],
        "1 records are left to split",
    ),
}


@pytest.mark.parametrize("format", ["csv", "tsv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("name", REFUSED)
def test_data_that_cannot_be_used_stop_with_what_to_do(name, format, tmp_path):
    rows, expected, *split = REFUSED[name]
    with pytest.raises(UserError) as error:
        use(rows, format, tmp_path, **dict(*split))
    message = str(error.value)
    assert expected in message or (not rows and "datasets.d" in message), message
    assert message.startswith(("datasets.d", "tasks.t")) and len(message) < 1500


USED = {
    "numbers as labels": labeled(0, 1),
    "more columns": [{**row, "id": "x", "row_id": i, "": 1} for i, row in enumerate(GOOD)],
    "an id of its own": [{"id": f"a{i}", **row} for i, row in enumerate(GOOD)],
    "white space around labels": labeled(" World ", "Sports\n"),
    "one text of a megabyte": [{**GOOD[0], "text": "long " * 200_000}, *GOOD[1:]],
    "right to left": [
        {**r, "text": f"\u202e\u0627\u0644{i} {r['text']}"} for i, r in enumerate(GOOD)
    ],
    "zero width": [{**r, "text": f"\u200b{r['text']}\ufeff"} for r in GOOD],
    "marks and templates": [{**r, "text": f"</s>{{{{text}}}} [INST] {r['text']}"} for r in GOOD],
    "words that pandas takes for nothing": [
        {**r, "text": f"{['NA', 'nan', 'null', 'None'][i % 4]} {i}"} for i, r in enumerate(GOOD)
    ],
}


@pytest.mark.parametrize("format", ["csv", "json", "jsonl", "parquet"])
@pytest.mark.parametrize("name", USED)
def test_data_that_look_odd_are_used_as_they_are(name, format, tmp_path):
    split = use(USED[name], format, tmp_path)
    parts = pd.concat([split.train, split.validation, split.test])
    assert len(parts) + len(split.excluded) == 40
    assert set(parts["label"]) == set(LABELS)
    texts = {row["text"].strip() for row in USED[name]}
    assert set(parts["text"]) <= texts and len(parts) > 30
