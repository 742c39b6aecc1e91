"""How much memory a record more takes: no stage holds its text more often than it must.

Measured on long texts of few words, so that little else counts, and with small batches, so that a
few records are many of them.
"""

import random
import tracemalloc

import pandas as pd
import pyarrow as pa
import pytest
import tiny
from deltatune.data import duplicates, frames, records, shingles, similar, splits
from deltatune.data.prepare import prepare
from deltatune.tasks.registry import load_kind
from deltatune.tokens import encode, ids, words
from stage_settings import split_settings

LABELS = ["a", "b"]
KIND = load_kind("classify")
FEW, MANY = 200, 600
LENGTH = 4000
POOLS = []  # what is still held at the end of a measurement lies in its pool


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("growth")
    rng = random.Random(0)
    for count in (FEW, MANY):
        texts = [
            " ".join(letter * 399 for letter in rng.choices("bcdfghklmnprst", k=LENGTH // 400))
            for _ in range(count)
        ]
        frame = pd.DataFrame({"row": range(count), "text": texts, "label": LABELS * (count // 2)})
        frame.to_parquet(folder / f"{count}.parquet", row_group_size=20)
    return {count: folder / f"{count}.parquet" for count in (FEW, MANY)}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for module in (duplicates, frames, records, splits):
        monkeypatch.setattr(module, "BATCH", 50)
    for module in (duplicates, shingles, similar):
        monkeypatch.setattr(module, "TEXTS", 32)
    for module in (encode, ids, words):
        monkeypatch.setattr(module, "_BATCH", 32)


def peak(work, path):
    """The most bytes of Python and numpy, and those of pyarrow."""
    pool, usual = pa.proxy_memory_pool(pa.system_memory_pool()), pa.default_memory_pool()
    POOLS.append(pool)
    tracemalloc.start()
    pa.set_memory_pool(pool)
    try:
        work(path)
        return tracemalloc.get_traced_memory()[1] + pool.max_memory()
    finally:
        pa.set_memory_pool(usual)
        tracemalloc.stop()


def growth(work, paths):
    """Bytes for each character more."""
    work(paths[FEW])  # what is imported and cached
    return (peak(work, paths[MANY]) - peak(work, paths[FEW])) / (MANY - FEW) / LENGTH


def test_splitting_holds_a_text_three_times(paths):
    settings = split_settings("classify", "news", labels=LABELS)
    grown = growth(lambda path: prepare(pd.read_parquet(path), KIND, settings), paths)
    # As it came, cleaned, and for comparison; all of them in each split only when two have ended.
    assert 1.8 < grown < 3.5


def test_tokenizing_holds_ids_alone(paths):
    tokenizer, asked = tiny.tokenizer(), KIND.LabeledPrompts(labels=LABELS)
    tokens = {}

    def work(path):
        documents = (KIND.document(record, asked) for record in records.streamed(path))
        encoded = encode.encode(documents, tokenizer, 4096, "shorten_prompt")
        tokens[path] = len(encoded.tokens)

    grown = growth(work, paths)
    # An id takes four bytes, and whether it is learned one more.
    assert grown < 6.5 * tokens[paths[MANY]] / MANY / LENGTH
