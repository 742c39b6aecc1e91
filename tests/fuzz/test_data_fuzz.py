"""Hostile records on the whole way from a file to token rows: each is kept, or counted with why."""

from __future__ import annotations

import csv
import io
import json
import warnings
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
from deltatune.core import manifest
from deltatune.core.errors import UserError
from deltatune.core.text import EXCERPT, excerpt, printable
from deltatune.data import chunking, prepare
from deltatune.data.readers import read as reading
from deltatune.evaluate import likelihood
from deltatune.tasks.registry import load_kind
from deltatune.tokens import answer_ids as answers
from deltatune.tokens import encode, prompts
from deltatune.tokens import ids as tokenizing
from deltatune.tokens.encoded import IGNORED
from deltatune.tokens.overflow import shortening_of
from fuzzing import fuzz
from hostile import GOOD, LABELS, TEXTS, as_file, corrupted, rows
from hypothesis import strategies as st
from stage_settings import split_settings, token_settings

REACHED: list[str] = []
"""The kinds of those files that went the whole way: a property of nothing but refusals is none."""
KINDS = {
    "classify": {"labels": LABELS, "prompt": "{text}\n\nCategory:"},
    "instruct": {"prompt": "alpaca_short", "chat": None},
    "prose": {},
}
FORMATS = ["csv", "tsv", "json", "jsonl", "parquet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def read(content: bytes, format: str, folder) -> SimpleNamespace:
    """What fetch_dataset makes of a file; every record is kept or in rejects.csv."""
    path, records, rejected = folder / f"d.{format}", folder / "r.parquet", folder / "rejects.csv"
    path.write_bytes(content)
    if format == "txt":
        counts = reading.read_text(path, records, rejected, "datasets.d")
    else:
        counts = reading.read_records(path, format, {}, records, rejected, "datasets.d")
    frame = pd.read_parquet(records)
    with rejected.open(newline="", encoding="utf-8") as file:
        left_out = list(csv.DictReader(file))
    assert counts["rows"] == counts["kept"] + counts["rejected"]
    assert counts["kept"] == len(frame) and counts["rejected"] == len(left_out)
    assert counts["reasons"] == Counter(line["code"] for line in left_out)
    numbers = [*frame["row"].tolist(), *(int(line["row"]) for line in left_out)]
    assert sorted(numbers) == list(range(1, counts["rows"] + 1))
    return SimpleNamespace(frame=frame, counts=counts)


def split(frame: pd.DataFrame, kind: str, **options):
    """What split_dataset makes of records; every one is in a split, excluded, or beyond."""
    settings = split_settings(kind, split={"max_rejected": 0.99, **options}, **KINDS[kind])
    made, counts = prepare.prepare(frame, load_kind(kind), settings)
    parts = [made.train, made.validation, made.test]
    ids = [int(i) for part in parts for i in part["id"]]
    left_out = made.excluded["row"].astype(int).tolist()
    assert not set(ids) & set(left_out) and len(set(ids)) == len(ids)
    assert set(ids) | set(left_out) <= set(frame["row"])
    beyond = len(frame) - len(ids) - len(set(left_out))
    assert beyond == counts["beyond_max_records"] and len(set(left_out)) == len(left_out)
    assert len(left_out) == sum(counts["excluded"].values()) + sum(counts["rejected"].values())
    assert [counts[name] for name in ("train", "validation", "test")] == list(map(len, parts))
    assert all(map(len, parts)) and all(made.excluded["reason"])
    text = made.excluded.to_csv(index=False)
    assert len(pd.read_csv(io.StringIO(text), keep_default_na=False)) == len(left_out)
    return made


def tokenize(frame: pd.DataFrame, kind: str, length: int, tokenizer) -> None:
    """What tokenize_split makes of a split; every document is in the rows, whole or counted."""
    module = load_kind(kind)
    settings = token_settings(kind, **KINDS[kind])
    documents = [module.document(record, settings.prompts) for record in frame.to_dict("records")]
    shortening = shortening_of(module.TRUNCATION, settings.overflow)
    encoded = encode.encode(documents, tokenizer, length, shortening)
    columns = encode.pack(encoded, length)
    figures = encode.summary(encoded, columns)
    json.dumps(figures)
    dropped = {number for number, _ in encoded.dropped}
    assert set(encoded.sources) | dropped == set(range(len(frame)))
    assert not set(encoded.sources) & dropped
    assert figures["documents"] == len(frame)
    supervised = columns["labels"][columns["labels"] != IGNORED].tolist()
    expected = [i for piece in encoded.labels for i in piece.tolist() if i != IGNORED]
    assert sorted(supervised) == sorted(expected)
    control = set(tokenizer.all_special_ids)
    for number, document in enumerate(documents):
        if number in dropped or number in encoded.truncated:
            continue
        pieces = [i for i, source in enumerate(encoded.sources) if source == number]
        bos = tokenizing.bos_ids(tokenizer)
        ids = [i for piece in pieces for i in encoded.ids[piece][len(bos) :].tolist()]
        # The end is one token, and nothing that a record says makes another.
        assert ids[-1] == tokenizer.eos_token_id and not control & set(ids[:-1])
        assert tokenizer.decode(ids[:-1]) == document.prompt + document.completion


@st.composite
def files(draw, damaged: bool):
    # A classification is refused for the most reasons.
    kind = draw(st.sampled_from(["classify", "classify", "classify", *KINDS]))
    format = draw(st.sampled_from(FORMATS))
    content = as_file(draw(rows(kind, least=draw(st.sampled_from([0, 8, 16])))), format)
    return kind, format, draw(corrupted(content)) if damaged else content


def whole_way(kind: str, format: str, content: bytes, folder, length: int, **options) -> None:
    try:
        source = read(content, format, folder)
        made = split(source.frame, kind, **options)
    except UserError as error:
        message = str(error)
        assert message.startswith(("datasets.d", "tasks.t")) and len(message) < 5000
        assert "Traceback" not in message and printable(message) == message
        return
    REACHED.append(kind)
    for part in (made.train, made.test):
        tokenize(part, kind, length, tiny.tokenizer())


options = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from(["random", "contiguous"]),
        "near_duplicates": st.sampled_from([None, 0.5, 0.85, 1.0]),
        "max_records": st.sampled_from([None, 3, 5, 12]),
        "test": st.sampled_from([0.2, 0.5, 1, 4]),
    },
)


@fuzz(450, file=files(damaged=False), length=st.sampled_from([8, 24, 256]), options=options)
def test_every_record_is_in_the_rows_or_counted_with_its_reason(file, length, options, folder):
    whole_way(*file, folder, length, **options)


@fuzz(150, file=files(damaged=True), options=options)
def test_a_damaged_file_is_read_or_refused(file, options, folder):
    whole_way(*file, folder, 64, **options)


def test_many_of_these_files_went_the_whole_way():
    assert min(Counter(REACHED)[kind] for kind in KINDS) >= 15, Counter(REACHED)


@fuzz(150, content=st.binary(max_size=200), format=st.sampled_from([*FORMATS, "txt"]))
def test_a_file_of_any_bytes_is_read_or_refused(content, format, folder):
    try:
        read(content, format, folder)
    except UserError as error:
        assert str(error).startswith("datasets.d")


@fuzz(
    80, records=st.lists(st.fixed_dictionaries({"text": GOOD, "label": st.sampled_from("ab")}),
    min_size=4, max_size=40), seed=st.integers(0, 99),
)  # fmt: skip
def test_no_text_is_on_both_sides(records, seed, folder):
    frame = pd.DataFrame(records).assign(row=range(1, len(records) + 1))
    split = {"method": "random", "max_rejected": 0.99, "near_duplicates": 0.7, "seed": seed}
    settings = split_settings("classify", labels=["a", "b"], split=split)
    try:
        made, _ = prepare.prepare(frame, load_kind("classify"), settings)
    except UserError:
        return
    sides = [set(part["text"].str.casefold().str.split().str.join(" ")) for part in
             (made.train, made.validation, made.test)]  # fmt: skip
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


# ---------------------------------------------------------------- plain text


@fuzz(120, text=st.lists(TEXTS, max_size=20).map("\n".join), words=st.sampled_from([8, 50]))
def test_every_word_of_a_text_is_in_a_chunk_a_heading_or_rejected(text, words, folder):
    try:
        source = read(text.encode("utf-8", "surrogatepass"), "txt", folder)
    except UserError:
        return
    chunks = chunking.chunk_text(source.frame["text"], max_words=words)
    before = [word for paragraph in source.frame["text"] for word in paragraph.split()]
    after = [word for chunk in chunks["text"] for word in chunk.split()]
    headings = [word for heading in chunks.attrs["headings"] for word in heading.split()]
    assert Counter(before) == Counter(after) + Counter(headings)
    assert all(len(chunk.split()) <= words for chunk in chunks["text"])
    # The file between chunk_text and split_dataset.
    path = folder / "chunks.csv"
    chunks.to_csv(path, index=False, lineterminator="\n")
    again = pd.read_csv(path, dtype={"chapter": str, "text": str}, keep_default_na=False)
    assert again["text"].tolist() == chunks["text"].tolist()
    assert again["chapter"].tolist() == chunks["chapter"].tolist()
    source_text = chunks.attrs["source"]
    places = zip(again["source_start"], again["source_end"], strict=True)
    assert [source_text[start:end] for start, end in places] == again["text"].tolist()


@fuzz(120, text=GOOD, context=st.sampled_from([8, 33]), bos=st.booleans())
def test_every_byte_and_token_of_a_text_is_scored_once(text, context, bos):
    tokenizer = tiny.tokenizer() if bos else tiny.without_bos()
    windows = likelihood.windows(text, tokenizer, context)
    ids = tokenizing.text_ids([text], tokenizer)[0]
    # What has nothing before it cannot be scored, and is known to be left out.
    lost = 0 if bos else min(1, len(ids))
    assert sum(window.scored for window in windows) == len(ids) - lost
    assert [i for window in windows for i in window.ids[-window.scored :]] == ids[lost:]
    if bos:
        assert sum(window.bytes for window in windows) == len(text.encode())
        assert sum(window.words for window in windows) == len(text.split())
    assert all(len(window.ids) <= context for window in windows)


# ---------------------------------------------------------------- prompts


@fuzz(150, instruction=GOOD, given=GOOD, output=GOOD)
def test_what_stands_in_a_record_is_never_read_as_a_template(instruction, given, output):
    record = {"instruction": instruction, "input": given, "output": output}
    if not instruction.strip():
        return
    own = {"with_input": "{{{instruction}|{input}}}", "without_input": "{{{instruction}}}"}
    text = prompts.render(own, record)
    if given.strip():
        assert text == "{" + instruction + "|" + given + "}"
    else:
        assert text == "{" + instruction + "}"
    labels, body = prompts.render_labels("{text}:{labels}", instruction, [given, output])
    assert labels[slice(*body)] == instruction
    assert labels == f"{instruction}:{given}, {output}"


CHAT = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} "
    "[/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)


@fuzz(100, user=GOOD, answer=GOOD)
def test_a_chat_has_the_control_tokens_of_its_template_and_no_other(user, answer):
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = CHAT
    try:
        (ids,) = answers.prompt_ids([prompts.conversation(user, None)], tokenizer)
        (answered,) = answers.answer_ids([prompts.conversation(user, None)], [answer], tokenizer)
        control = set(tokenizer.all_special_ids)
        assert [i for i in ids if i in control] == [tokenizer.bos_token_id]
        assert [i for i in answered if i in control] == [tokenizer.eos_token_id]
        assert tokenizer.decode(ids[1:]) == f"[INST] {user} [/INST]"
        assert tokenizer.decode(answered[:-1]) == f" {answer}"
    finally:
        tokenizer.chat_template = None


# ---------------------------------------------------------------- records of what was done

_NUMBERS = st.floats() | st.integers() | st.sampled_from([np.nan, np.inf, -np.inf])


@fuzz(100, content=st.dictionaries(st.text(max_size=3), _NUMBERS | st.lists(_NUMBERS) | GOOD))
def test_a_manifest_is_json_whatever_is_in_it(content, folder):
    path = folder / "manifest.json"
    content = {key.encode("utf-8", "ignore").decode(): value for key, value in content.items()}
    manifest.write(path, figures=content)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")

    figures = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)["figures"]
    assert set(figures) == set(content)


@fuzz(150, value=TEXTS | st.binary() | st.lists(TEXTS) | st.none() | st.floats())
def test_an_excerpt_fits_a_line_and_a_terminal(value):
    shown = excerpt(value)
    assert len(shown) <= EXCERPT
    assert printable(shown) == shown
    shown.encode()


def test_no_warning_is_shown_to_people(folder):
    """pandas and others warn about odd data; the log may have it, the result must be the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(as_file([{"text": "NA"}, {"text": "1"}], "csv"), "csv", folder)
