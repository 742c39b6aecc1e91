"""What is shown of the training rows: the tokens, what the loss is taken on, cuts, and packing."""

from __future__ import annotations

import re
from typing import get_args

import numpy as np
import pytest
import tiny
from conftest import ROOT
from deltatune.core.errors import UserError
from deltatune.data.reasons import Code, Reason
from deltatune.preview import page, terminal
from deltatune.preview.rows import read, runs
from deltatune.preview.settings import Previewed
from deltatune.preview.tasks import TaskView
from deltatune.preview.tokens import Token, tokens
from deltatune.preview.words import CUTS, visible
from deltatune.tokens import pieces, supervision
from deltatune.tokens.encode import NO_ROOM, encode, pack, summary
from deltatune.tokens.encoded import IGNORED, Encoded
from deltatune.tokens.ids import text_ids
from deltatune.tokens.prompts import Document
from deltatune.tokens.settings import Truncation
from test_report import Reader
from test_tokens_encode import spaced  # noqa: F401, a fixture

TEMPLATE = ROOT / "report" / "preview.html.j2"
BOS, EOS = tiny.tokenizer().bos_token_id, tiny.tokenizer().eos_token_id
HOSTILE = "<script>x()</script> </mark> {{ 7*7 }} ⟦not¦this⟧ </s> \x1b[31m \u202e a\u00a0b\tc\nd"


def ids_of(text: str) -> list[int]:
    return text_ids([text], tiny.tokenizer())[0]


# ---------------------------------------------------------------- tokens


TEXTS = ["The old bridge", HOSTILE, "naïve 日本語 🎉👩‍👧", "\n\n x", "\ufffd"]


@pytest.mark.parametrize("text", TEXTS)
def test_the_texts_of_tokens_are_the_text(text):
    ids = ids_of(text)
    shown = tokens(ids, tiny.tokenizer())
    assert "".join(token.text for token in shown) == text
    assert sum(token.count for token in shown) == len(ids)
    assert not any(token.special for token in shown)


def test_tokens_that_are_a_character_only_in_sum_are_shown_as_one():
    ids = ids_of("a🎉b")
    assert tokens(ids, tiny.tokenizer()) == [Token("a"), Token("🎉", count=4), Token("b")]
    # A character that is cut, at the end and before a special token.
    for cut in (ids[:3], [*ids[:3], EOS]):
        assert tokens(cut, tiny.tokenizer())[:2] == [Token("a"), Token("\ufffd", count=2)]


def test_a_special_token_has_its_name_and_the_same_text_is_text():
    shown = tokens([BOS, *ids_of("</s>"), EOS], tiny.tokenizer())
    assert shown[0] == Token("<s>", special=True) and shown[-1] == Token("</s>", special=True)
    assert "".join(token.text for token in shown[1:-1]) == "</s>"
    assert not any(token.special for token in shown[1:-1])


def test_a_space_that_belongs_to_a_token_is_shown(spaced):  # noqa: F811
    shown = tokens([BOS, *text_ids(["the river had"], spaced)[0], EOS], spaced)
    assert "".join(token.text for token in shown) == "<s> the river had</s>"


# ---------------------------------------------------------------- rows


def test_runs_are_those_of_the_labels():
    ids = [BOS, *ids_of("One. Two. Three.")]
    first_span, second_span = slice(2, 4), slice(5, len(ids))
    labels = [IGNORED] * len(ids)
    for span in (first_span, second_span):
        labels[span] = ids[span]
    shown = runs(ids, labels, tiny.tokenizer(), keep=50)
    assert [run.supervised for run in shown] == [False, True, False, True]
    assert [run.length for run in shown] == [2, 2, 1, len(ids) - 5]
    for run, part in zip(shown, (ids[:2], ids[2:4], ids[4:5], ids[5:]), strict=True):
        assert run.head == tokens(part, tiny.tokenizer()) and run.left_out == 0 == len(run.tail)


def test_a_long_run_shows_its_beginning_and_its_end():
    ids = ids_of("abcdefghij" * 3)
    (run,) = runs(ids, ids, tiny.tokenizer(), keep=9)
    assert run.head == tokens(ids[:6], tiny.tokenizer())
    assert run.tail == tokens(ids[-3:], tiny.tokenizer())
    assert run.left_out == len(ids) - 9


DOCUMENTS = [
    Document("Name a river.\n", "The Danube."),
    Document("Say nothing" * 60, "x"),
    Document("", "Prices fell for the third month. " * 9),
    Document("She wrote\n", " three letters" * 30),
    Document("A short", " one"),
]


@pytest.fixture(scope="module")
def encoded() -> Encoded:
    return encode(DOCUMENTS, tiny.tokenizer(), 64, "split")


def test_pieces_lie_where_positions_begin_anew(encoded):
    columns = pack(encoded, 64)
    table = pieces.table(encoded, columns, list("abcde"))
    assert len(table) == len(encoded.ids)
    for each in table.to_dict("records"):
        row, span = each["row"], slice(each["start"], each["start"] + each["tokens"])
        positions = columns["position_ids"][row, span]
        assert positions.tolist() == list(range(each["tokens"]))
        assert (columns["labels"][row, span] != IGNORED).sum() == each["supervised_tokens"]
        assert (columns["input_ids"][row, span] == BOS).sum() == 1
    assert set(table["record"]) == set("acde")
    assert set(table.query("truncated")["record"]) == {"d"}
    split = table.query("record == 'c'")
    assert sorted(split["part"]) == list(range(1, len(split) + 1))
    assert set(split["parts"]) == {len(split)} and len(split) > 1
    assert set(table.query("record != 'c'")["parts"]) == {1}
    assert table[["row", "start"]].apply(tuple, axis=1).is_monotonic_increasing


def test_of_no_documents_there_are_no_pieces():
    encoded = encode([], tiny.tokenizer(), 64, "truncate")
    assert len(pieces.table(encoded, pack(encoded, 64), [])) == 0


def view(encoded: Encoded, records: list, max_length=64, **changed) -> TaskView:
    columns = pack(encoded, max_length)
    table = pieces.table(encoded, columns, records)
    names = ("input_ids", "labels")
    rows = [{n: columns[n][row].tolist() for n in names} for row in range(len(columns["labels"]))]
    unsupervised = supervision.unsupervised(encoded)
    named = [{"record": records[n], "reason": str(reason)} for n, reason in unsupervised.items()]
    figures = summary(encoded, columns) | {"unsupervised_records": named}
    settings = Previewed(
        **{
            "task": "mine",
            "kind": "prose",
            "model": "tiny",
            "experiments": ["one"],
            "truncation": "truncate",
        }
        | changed,
        max_length=max_length,
        rows="tokens",
        tokenizer="model",
    )
    return TaskView(settings, figures, read(rows, table, tiny.tokenizer(), 200))


def test_rows_show_each_token_once_and_what_is_padding(encoded):
    rows = view(encoded, [1, 2, 3, 4, 5]).rows
    for row in rows:
        assert sum(piece.length for piece in row.pieces) + row.padding == row.length
        assert [piece.start for piece in row.pieces] == list(
            np.cumsum([0, *(piece.length for piece in row.pieces)])[:-1]
        )
        for piece in row.pieces:
            assert sum(run.length for run in piece.runs) == piece.length
            assert sum(r.length for r in piece.runs if r.supervised) == piece.supervised


# ---------------------------------------------------------------- nothing to train on


def masked(encoded: Encoded, document: int) -> Encoded:
    for piece, source in enumerate(encoded.sources):
        if source == document:
            place = slice(*encoded.starts[piece : piece + 2])
            encoded.learned[place] = bytes(encoded.sizes[piece])
    return encoded


def test_records_without_a_loss_are_named_with_their_reason():
    encoded = masked(encode(DOCUMENTS, tiny.tokenizer(), 64, "split"), 4)
    unsupervised = supervision.unsupervised(encoded)
    assert unsupervised == {1: NO_ROOM, 4: supervision.MASKED}
    notice = supervision.notice(unsupervised, [11, 12, 13, 14, 15], "mine", "train", 64)
    assert "tasks.mine: nothing is trained on in 2 of 5 records of train" in notice
    assert f"{NO_ROOM}: records 12; {supervision.MASKED}: records 15" in notice
    assert "Raise tasks.mine.max_length (64)" in notice
    assert supervision.notice({}, [1, 2], "mine", "train", 64) is None
    reasons = {n: Reason(Code.TEMPLATE_REFUSES, value=str(n)) for n in range(5)}
    refused = supervision.notice(reasons, [*range(9)], "mine", "train", 64)
    assert refused.count("refuses it: ") == 3 and "; and 2 other reasons)" in refused
    many = supervision.notice(dict.fromkeys(range(12), NO_ROOM), [*range(13)], "a", "train", 64)
    assert "records 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more" in many


def test_a_training_split_without_a_loss_is_refused():
    unsupervised = dict.fromkeys(range(3), NO_ROOM)
    with pytest.raises(UserError, match=r"tasks\.mine: there is nothing to train on.*Raise tasks"):
        supervision.notice(unsupervised, [1, 2, 3], "mine", "train", 64)
    assert "3 of 3" in supervision.notice(unsupervised, [1, 2, 3], "mine", "validation", 64)


# ---------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a b\n", "a b↵\n"),
        ("\t", "⇥"),
        ("\u00a0\u200b\x1b\u202e", "\\u00a0\\u200b\\u001b\\u202e"),
        ("\U000e0001", "\\U000e0001"),
        ("é漢🎉", "é漢🎉"),
        ("↵⟦", "\\u21b5\\u27e6"),
    ],
)
def test_what_cannot_be_seen_is_made_visible(text, shown):
    assert visible(text, "⟦") == shown


def test_a_character_has_the_number_of_its_tokens():
    document = Document("Name\n", "a🎉")
    shown = view(encode([document], tiny.tokenizer(), 64, "truncate"), [1])
    assert "⟦a¦🎉₄¦⟨</s>⟩⟧" in plain(shown)
    assert '<span class="token">🎉₄</span>' in page.render([shown], TEMPLATE)


def plain(view: TaskView) -> str:
    return "".join(text for text, _ in terminal.lines(view))


def test_the_terminal_marks_what_is_trained_on_without_color(encoded):
    text = plain(view(encoded, ["r1", "r2", "r3", "r4", "r5"]))
    assert "Nothing is trained on in 1 record: r2 (the prompt leaves no room" in text
    assert "1 record loses tokens and 1 record is split" in text
    shown = re.search(r"- Record r1, tokens 1 to \d+, loss on (\d+) of .*\n((?: {4}.*\n)+)", text)
    inside = re.search(r"⟦(.*)⟧", shown[2])[1]
    assert inside.replace("¦", "") == "The Danube.⟨</s>⟩" and inside.count("¦") == int(shown[1]) - 1
    assert shown[2].replace("¦", "").startswith("    ⟨<s>⟩Name a river.↵\n    ⟦")


def test_a_cut_is_told_in_words():
    long = Document("She wrote three letters to her sister " * 9, " yes")
    shown = view(encode([long], tiny.tokenizer(), 64, "shorten_prompt"), [1],
                 truncation="shorten_prompt")  # fmt: skip
    assert "of 64, a part of its prompt is left out (max_length)\n" in plain(shown)
    assert "a part of its prompt is left out (max_length)</h4>" in page.render([shown], TEMPLATE)
    assert set(CUTS) == set(get_args(Truncation))


def test_text_cannot_pass_for_marks_or_steer_the_terminal():
    encoded = encode([Document("", HOSTILE)], tiny.tokenizer(), 200, "split")
    text = plain(view(encoded, ["\x1b[2J"], 200))
    assert text.count("⟦") == text.count("⟧") == 1 and text.count("⟨") == 2
    assert "\\u27e6" in text and "\\u00a6" in text and "\x1b[31m" not in text


def test_the_page_escapes_everything_and_runs_nothing():
    shown = view(
        encode([Document(HOSTILE, HOSTILE)], tiny.tokenizer(), 200, "truncate"),
        [HOSTILE],
        200,
        **dict.fromkeys(("task", "model", "kind"), HOSTILE),
        experiments=[HOSTILE],
    )
    html = page.render([shown, shown], TEMPLATE)
    reader = Reader(html)
    assert reader.scripts == [] and "default-src 'none'" in html
    assert [a for _, attributes in reader.tags for a in attributes if a.startswith("on")] == []
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)
    # Of each of two tasks one document with a loss, and the mark of the legend.
    assert [tag for tag, _ in reader.tags].count("mark") == 3
    text = "".join(reader.words)
    assert "<script>x()</script> </mark> {{ 7*7 }}" in text
    assert page.render([shown, shown], TEMPLATE) == html


def test_the_page_of_no_rows_and_of_a_piece_without_a_loss():
    encoded = masked(encode(DOCUMENTS[:1], tiny.tokenizer(), 64, "truncate"), 0)
    html = page.render([view(encoded, [7])], TEMPLATE)
    assert "Record 7, tokens 1 to" in html and "NO LOSS" in html
    assert "7 (all of its tokens are masked)" in html
    assert "<h2" not in page.render([], TEMPLATE)
