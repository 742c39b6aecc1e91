"""Prose is scored as it stands in its source, and what is not independent is one cluster."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from deltatune.config.load import load_settings
from deltatune.data.chunking import chunk_text
from deltatune.data.prepare import prepare
from deltatune.data.readers.read import read_records, read_text
from deltatune.data.records import GROUP
from deltatune.tasks import prose
from hypothesis import given, settings
from hypothesis import strategies as st
from stage_settings import split_settings

SAMPLE = ROOT / "data" / "sample" / "prose.txt"
BOOK = ROOT.parent / "shared" / "data" / "frankenstein.txt"

#: file, max_words of a chunk, whether its paragraphs are one line each
TEXTS = [(SAMPLE, 120, True), (BOOK, 200, False)]


def chunks_of(path: Path, max_words: int, folder: Path) -> tuple[pd.DataFrame, str]:
    """Chunks as split_dataset reads them, and the source text."""
    if not path.is_file():
        pytest.skip(f"{path.name} is not on this machine")
    read_text(path, folder / "records.parquet", folder / "rejects.csv")
    chunks = chunk_text(pd.read_parquet(folder / "records.parquet")["text"], max_words)
    chunks.to_csv(folder / "chunks.csv", index=False, lineterminator="\n")
    types = {"chapter": str, "text": str}
    back = pd.read_csv(folder / "chunks.csv", dtype=types, keep_default_na=False)
    return back, chunks.attrs["source"]


def test_split(records: pd.DataFrame, **changes) -> pd.DataFrame:
    return prepare(records, prose, split_settings("prose", split=changes))[0].test


test_split.__test__ = False


@pytest.mark.parametrize(("path", "max_words", "by_line"), TEXTS, ids=["sample", "book"])
@pytest.mark.parametrize("method", ["contiguous", "random"])
def test_the_scored_text_is_literally_the_source(path, max_words, by_line, method, tmp_path):
    records, source = chunks_of(path, max_words, tmp_path)
    raw = path.read_text(encoding="utf-8-sig")
    # The source in its normal form has the words of the file, and no others.
    assert source.split() == raw.split()
    test = test_split(records, method=method)
    passages = prose.passages(test)
    for passage in passages:
        assert passage.text == source[passage.start : passage.end]
        if by_line:
            assert passage.text in raw
    # Made in another way: the characters of the chunks, and of the gaps between neighbors.
    inside = {i for p in passages for i in range(p.start, p.end)}
    scored = sum(len(p.text.encode("utf-8")) for p in passages)
    assert scored == len("".join(source[i] for i in sorted(inside)).encode("utf-8"))
    for record in test.to_dict("records"):
        assert record["text"] == source[record["source_start"] : record["source_end"]]


@pytest.mark.parametrize(("path", "max_words", "by_line"), TEXTS, ids=["sample", "book"])
def test_a_paragraph_that_was_cut_into_chunks_is_whole_again(path, max_words, by_line, tmp_path):
    records, _ = chunks_of(path, max_words, tmp_path)
    passages = prose.passages(test_split(records))
    scored = [paragraph for passage in passages for paragraph in passage.text.split("\n\n")]
    blocks = re.split(r"\n\s*\n", path.read_text(encoding="utf-8-sig"))
    whole = {" ".join(block.split()) for block in blocks}
    # Whole chapters are tested: each of their paragraphs is one of the file.
    assert len(scored) > 10
    assert [paragraph for paragraph in scored if paragraph not in whole] == []


def test_the_sample_tests_on_five_whole_chapters(tmp_path):
    chosen = load_settings(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))
    words = chosen.datasets["prose"].chunks.max_words
    records, _ = chunks_of(SAMPLE, words, tmp_path)
    test = test_split(records, **chosen.tasks["prose"].split.model_dump())
    chapters = records.groupby("chapter").size()
    assert test["chapter"].nunique() >= 5
    assert test.groupby("chapter").size().eq(chapters).sum() == test["chapter"].nunique()
    assert {p.cluster for p in prose.passages(test)} == set(test["chapter"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["One. Two two.", "A b c d e f g.", "Chapter 1", "Chapter 2", "É ù 山."]),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 9),
    st.randoms(use_true_random=False),
)
def test_what_is_left_out_is_never_joined_over(paragraphs, max_words, draw):
    chunks = chunk_text(paragraphs, max_words)
    source = chunks.attrs["source"]
    kept = chunks[np.array([draw.random() < 0.6 for _ in range(len(chunks))], dtype=bool)]
    columns = ["id", "text", "chapter", "source_start", "source_end"]
    test = [{"id": r["row"], **prose.clean(r, prose.Records())} for r in kept.to_dict("records")]
    passages = prose.passages(pd.DataFrame(test, columns=columns))
    for passage in passages:
        assert passage.text == source[passage.start : passage.end]
    # Each kept chunk is in one passage, and passages hold nothing of the others.
    words = Counter(word for text in kept["text"] for word in text.split())
    assert Counter(word for passage in passages for word in passage.text.split()) == words
    ends = [passage.end for passage in passages]
    assert all(
        b.start - a > 2 or b.cluster != c.cluster
        for a, b, c in zip(ends, passages[1:], passages, strict=False)
    )


# ---------------------------------------------------------------- clusters


def records_of(**columns) -> pd.DataFrame:
    count = len(next(iter(columns.values())))
    fields = {"id": range(1, count + 1), "text": [f"Text {i}." for i in range(count)]}
    return pd.DataFrame(fields | {"chapter": ""} | columns)


def test_a_record_without_a_chapter_is_a_document_of_its_own(tmp_path):
    file = tmp_path / "posts.csv"
    file.write_text("text\n" + "\n".join(f"Post {n} of many." for n in range(30)) + "\n")
    read_records(file, None, {}, tmp_path / "records.parquet", tmp_path / "rejects.csv")
    test = test_split(pd.read_parquet(tmp_path / "records.parquet"), near_duplicates=None)
    passages = prose.passages(test)
    assert [p.text for p in passages] == [f"Post {n} of many." for n in range(24, 30)]
    assert [p.cluster for p in passages] == [f"document {n}" for n in range(25, 31)]
    assert {p.cluster_unit for p in passages} == {"documents"}
    assert {(p.start, p.end) for p in passages} == {(None, None)}


def test_records_of_a_chapter_are_its_paragraphs_unless_one_is_missing():
    test = records_of(chapter=["I", "I", "I", "II", "I", ""]).drop(index=1)
    passages = prose.passages(test)
    assert [(p.cluster, p.text) for p in passages] == [
        ("I", "Text 0."),
        ("I", "Text 2."),
        ("II", "Text 3."),
        ("I", "Text 4."),
        ("document 6", "Text 5."),
    ]
    joined = prose.passages(records_of(chapter=["I", "I", "II"]))
    assert [p.text for p in joined] == ["Text 0.\n\nText 1.", "Text 2."]
    assert {p.cluster_unit for p in joined} == {"chapters"}


def test_a_text_without_headings_is_one_cluster():
    chunks = chunk_text([f"Paragraph {n} of the letter." for n in range(40)], 10)
    passages = prose.passages(test_split(chunks, method="random", near_duplicates=None))
    assert len(passages) > 1
    assert {p.cluster for p in passages} == {"(no chapter)"}
    assert {p.cluster_unit for p in passages} == {"documents"}


def test_a_column_that_is_called_as_a_place_is_no_place():
    fields = {"text": "a", "chapter": "I", "source_start": "12", "source_end": "40"}
    assert prose.clean(fields, prose.Records()) == {"text": "a", "chapter": "I"}


def test_records_of_a_group_are_one_cluster():
    records = pd.DataFrame({"row": range(1, 61), "text": [f"Poem {i}." for i in range(60)]})
    records[f"{GROUP}author"] = [None if i % 10 == 0 else f"author {i % 10}" for i in range(60)]
    options = {"method": "random", "group": "author", "near_duplicates": None, "test": 0.4}
    test = test_split(records, **options)
    passages = prose.passages(test)
    assert len(passages) == len(test)
    assert {p.cluster_unit for p in passages} == {"groups"}
    authors = records.set_index("row").loc[test["id"], f"{GROUP}author"]
    themselves = authors.isna().sum()
    assert 0 < themselves < len(test)
    assert len({p.cluster for p in passages}) == authors.nunique() + themselves
