import copy
import hashlib
import runpy
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.tokens.answer_ids import prompt_ids
from deltatune.tokens.encode import NO_ROOM, NO_TEXT, encode, pack, summary
from deltatune.tokens.ids import bos_ids, continuation_ids, pad_id, text_ids
from deltatune.tokens.prompts import Document, render, render_labels
from deltatune.tokens.shards import COLUMNS, Collator, read_shards, row_lengths
from deltatune.tokens.writer import write_shards
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

SENTENCES = [
    "The old bridge was closed because the river had risen in the night.",
    "She wrote three letters to her sister and sent none of them.",
    "### Instruction:\nName a river.\n\n### Response:\nThe Danube flows into the Black Sea.",
    "Prices fell for the third month, said the ministry on Monday.\n\nCategory: Business",
]
UNK, BOS, EOS = 0, 1, 2
SPECIAL = ["<unk>", "<s>", "</s>"]
COLUMN_NAMES = ("input_ids", "labels", "position_ids")


def fast(tokenizer, **names):
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"} | names
    puts_bos = names["bos_token"] is not None
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, add_bos_token=puts_bos, **names)


def byte_level():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    """Byte-level BPE with Mistral's special tokens; unk pads."""
    return fast(byte_level(), pad_token="<unk>")


@pytest.fixture(scope="module")
def spaced():
    """Puts a space before each text that it is given, as the tokenizers of Llama and Mistral do."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(
        vocab_size=200,
        special_tokens=SPECIAL,
        initial_alphabet=list("\n abcdefghijklmnopqrstuvwxyzT"),
        show_progress=False,
    )
    tokenizer.train_from_iterator([s.replace("\n", " ") for s in SENTENCES], trainer)
    return fast(tokenizer)


def one(document, tokenizer, max_length=500, overflow="truncate"):
    encoded = encode([document], tokenizer, max_length, overflow)
    assert len(encoded.ids) == 1
    return encoded.ids[0].tolist(), encoded.labels[0].tolist()


def test_the_mask_ends_exactly_where_the_answer_begins(tokenizer):
    prompt = render("alpaca_short", {"instruction": "Name a river."})
    ids, labels = one(Document(prompt, "The Danube."), tokenizer)
    answer = text_ids(["The Danube."], tokenizer)[0]
    assert ids == [BOS, *text_ids([prompt], tokenizer)[0], *answer, EOS]
    assert labels == [-100] * (len(ids) - len(answer) - 1) + answer + [EOS]
    assert tokenizer.decode([i for i in labels if i != -100]) == "The Danube.</s>"


def test_a_label_brings_its_own_space(tokenizer):
    ids, labels = one(Document("Prices fell.\n\nCategory:", " Business"), tokenizer)
    assert tokenizer.decode(ids) == "<s>Prices fell.\n\nCategory: Business</s>"
    assert tokenizer.decode([i for i in labels if i != -100]) == " Business</s>"


@pytest.mark.parametrize("document", [Document("The river", " had risen"), Document("", "The sea")])
def test_one_bos_first_and_one_eos_last(tokenizer, document):
    ids, labels = one(document, tokenizer)
    assert (ids[0], ids.count(BOS)) == (BOS, 1)
    assert (ids[-1], ids.count(EOS)) == (EOS, 1)
    assert (labels[0], labels[-1]) == (-100, EOS)


def test_running_text_is_supervised_whole(tokenizer):
    ids, labels = one(Document("", SENTENCES[0]), tokenizer)
    assert labels == [-100, *ids[1:]]


@pytest.mark.parametrize("pad", ["<unk>", "</s>", None])
def test_eos_is_supervised_whatever_pads(pad):
    tokenizer = fast(byte_level(), **({"pad_token": pad} if pad else {}))
    encoded = encode([Document("The", " sea"), Document("She", "")], tokenizer, 64, "truncate")
    assert encoded.pad_id == UNK
    columns = pack(encoded, 64)
    assert (columns["labels"] == EOS).sum() == (columns["input_ids"] == EOS).sum() == 2


def test_padding_falls_back_to_eos():
    tokenizer = fast(byte_level(), unk_token=None)
    assert pad_id(tokenizer) == EOS


def test_an_empty_answer_teaches_to_stop(tokenizer):
    ids, labels = one(Document("Say nothing.\n", ""), tokenizer)
    assert ids[-1] == EOS
    assert [i for i in labels if i != -100] == [EOS]


def test_special_tokens_in_a_text_are_only_text(tokenizer):
    text = "She wrote </s> and <s> and <unk>."
    for document in (Document("", text), Document(f"{text}\n", text)):
        ids, _ = one(document, tokenizer)
        assert (ids.count(BOS), ids.count(EOS), ids.count(UNK)) == (1, 1, 0)
        assert tokenizer.decode(ids[1:-1]) == document.prompt + text


def test_without_a_bos_the_first_token_is_not_supervised():
    # Its only context would be the document before it in the row.
    tokenizer = fast(byte_level(), bos_token=None)
    ids, labels = one(Document("", "The sea"), tokenizer)
    assert ids == [*text_ids(["The sea"], tokenizer)[0], EOS]
    assert labels == [-100, *ids[1:]]


def test_bos_stands_where_the_tokenizer_s_own_encoding_puts_it():
    """Those of SmolLM2 and GPT-2 name one and put none, and the template of SmolLM2 begins with it:
    once in a conversation, and nowhere before a text."""
    for tokenizer in (tiny.tokenizer(), tiny.naming_bos(), tiny.without_bos()):
        (prompt,) = prompt_ids(["The sea"], tokenizer)
        assert prompt == tokenizer("The sea")["input_ids"]
        assert [*bos_ids(tokenizer), *text_ids(["The sea"], tokenizer)[0]] == prompt
    naming = copy.copy(tiny.naming_bos())
    naming.chat_template = (
        "{% for m in messages %}<s>{{ m.role }}: {{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<s>assistant:{% endif %}"
    )
    (ids,) = prompt_ids([(("user", "The sea"),)], naming)
    assert ids[0] == naming.bos_token_id != ids[1]


def test_a_tokenizer_without_eos_is_refused():
    with pytest.raises(UserError, match=r"no end-of-sequence token.*eos_token"):
        encode([Document("a", "b")], fast(byte_level(), eos_token=None), 64, "truncate")


def test_an_answer_begins_a_line_without_a_space(spaced):
    # On its own the text would be given one.
    assert spaced.convert_ids_to_tokens(text_ids(["The sea"], spaced)[0])[0].startswith("▁")
    for prompt, completion in (("the river\n", "The sea"), ("the river", " the sea")):
        ids, labels = one(Document(prompt, completion), spaced)
        assert spaced.decode(ids[1:-1]) == prompt + completion
        answer = continuation_ids([completion], spaced)[0]
        assert [i for i in labels if i != -100] == [*answer, EOS]


def test_generation_can_begin_with_what_was_trained_on(tokenizer, spaced):
    prompt = render("alpaca_short", {"instruction": "Name a river."}).lower()
    for each in (tokenizer, spaced):
        ids, labels = one(Document(prompt, "the sea"), each)
        assert ids[: labels.count(-100)] == prompt_ids([prompt], each)[0]


def test_a_long_answer_loses_its_end_and_eos(tokenizer):
    document = Document("The river", SENTENCES[0])
    whole, labels = one(document, tokenizer)
    for room in (len(whole) - 1, len(whole) - 5):
        encoded = encode([document], tokenizer, room, "truncate")
        assert encoded.ids[0].tolist() == whole[:room]
        assert encoded.labels[0].tolist() == labels[:room]
        assert (encoded.truncated, encoded.dropped) == ([0], [])
    assert encode([document], tokenizer, len(whole), "truncate").truncated == []


def test_a_prompt_that_leaves_no_room_is_dropped_with_its_number(tokenizer):
    long = Document(SENTENCES[0], " yes")
    room = len(prompt_ids([SENTENCES[0]], tokenizer)[0])
    documents = [Document("The", " sea"), long, Document("", ""), Document("She", " wrote")]
    for overflow in ("truncate", "split"):
        encoded = encode(documents, tokenizer, room, overflow)
        assert encoded.dropped == [(1, NO_ROOM), (2, NO_TEXT)]
        assert (encoded.sources, encoded.documents) == ([0, 3], 4)
    encoded = encode(documents, tokenizer, room + 1, "truncate")
    assert (encoded.dropped, encoded.truncated) == ([(2, NO_TEXT)], [1])
    assert (encoded.labels[1] != -100).sum() == 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(min_size=1, max_size=200), max_length=st.integers(3, 40))
def test_splitting_loses_nothing(tokenizer, text, max_length):
    encoded = encode([Document("", text)], tokenizer, max_length, "split")
    assert (encoded.truncated, encoded.dropped) == ([], [])
    assert encoded.split == ([0] if len(encoded.ids) > 1 else [])
    joined = []
    for ids, labels in zip(encoded.ids, encoded.labels, strict=True):
        assert 2 <= len(ids) <= max_length
        assert ids[0] == BOS
        assert labels.tolist() == [-100, *ids[1:].tolist()]
        joined += ids[1:].tolist()
    assert len(encoded.ids[-1]) >= 3
    assert joined.index(EOS) == len(joined) - 1
    assert tokenizer.decode(joined[:-1], clean_up_tokenization_spaces=False) == text


def test_short_texts_stay_whole_where_they_pack_well(tokenizer):
    documents = [Document("", s) for s in SENTENCES]
    longest = max(len(ids) for ids in encode(documents, tokenizer, 500, "truncate").ids)
    encoded = encode(documents, tokenizer, 4 * longest, "split")
    assert (encoded.split, encoded.sources) == ([], [0, 1, 2, 3])


def test_texts_are_split_to_fill_rows_but_prompts_never_are(tokenizer):
    words = text_ids(SENTENCES[:1], tokenizer)[0]
    # 12 to 17 tokens with bos and eos: one a row of 20.
    texts = [Document("", tokenizer.decode(words[: 10 + n % 6])) for n in range(60)]
    encoded = encode(texts, tokenizer, 20, "split")
    counts = summary(encoded, pack(encoded, 20))
    assert counts["padding_share"] < 0.02
    assert 0 < counts["split"] < 60 < counts["pieces"]
    assert encoded.sources == sorted(encoded.sources)
    prompted = Document("She wrote", " three")
    encoded = encode([prompted, *texts], tokenizer, 20, "split")
    alone, labels = one(prompted, tokenizer)
    assert (encoded.ids[0].tolist(), encoded.labels[0].tolist()) == (alone, labels)


def test_documents_come_from_any_iterable_in_any_number(tokenizer):
    documents = [Document("The", f" {n}") for n in range(2345)]
    encoded = encode(iter(documents), tokenizer, 64, "truncate")
    assert encoded.sources == list(range(2345))
    for number in (0, 999, 1000, 2344):
        assert tokenizer.decode(encoded.ids[number]) == f"<s>The {number}</s>"


def test_settings_that_cannot_work_are_refused(tokenizer):
    with pytest.raises(UserError, match="max_length: 2 tokens"):
        encode([], tokenizer, 2, "split")
    with pytest.raises(ValueError, match="overflow is"):
        encode([], tokenizer, 64, "shrink")


def documents_in(columns):
    """(row, tokens) of each document, by position: what attention will see."""
    for row, positions in enumerate(columns["position_ids"]):
        starts = [*np.flatnonzero(positions == 0), len(positions)]
        for start, stop in pairwise(starts):
            assert positions[start:stop].tolist() == list(range(stop - start))
            yield row, slice(start, stop)


@pytest.fixture(scope="module")
def encoded(tokenizer):
    documents = [Document("She wrote\n", s[: 10 + 7 * n]) for n in range(5) for s in SENTENCES]
    return encode(documents, tokenizer, 60, "truncate")


def test_rows_hold_each_document_once_and_then_padding(encoded):
    columns = pack(encoded, 60)
    assert {c.dtype for c in columns.values()} == {np.dtype(np.int32)}
    packed = []
    padded = 0
    for row, where in documents_in(columns):
        ids, labels = columns["input_ids"][row, where], columns["labels"][row, where]
        if ids[0] == BOS:
            packed.append((ids.tolist(), labels.tolist()))
        else:
            assert where.stop == columns["input_ids"].shape[1]
            assert set(ids.tolist()) == {encoded.pad_id}
            assert set(labels.tolist()) == {-100}
            padded += len(ids)
    pieces = [(i.tolist(), m.tolist()) for i, m in zip(encoded.ids, encoded.labels, strict=True)]
    assert sorted(packed) == sorted(pieces)
    counts = summary(encoded, columns)
    assert counts["tokens"] == sum(len(ids) for ids, _ in pieces)
    assert counts["padding_share"] == pytest.approx(padded / columns["input_ids"].size)
    assert counts["supervised_tokens"] == sum(i != -100 for _, labels in pieces for i in labels)


def test_the_summary_counts_what_was_lost(tokenizer):
    documents = [Document("", "ab" * 90), Document("The" * 90, "x"), Document("The", " sea" * 90)]
    encoded = encode(documents, tokenizer, 30, "split")
    counts = summary(encoded, pack(encoded, 30))
    assert counts["dropped_documents"] == [
        {"document": 1, "code": NO_ROOM.code, "reason": str(NO_ROOM)}
    ]
    assert counts["truncated_documents"] == [2]
    assert [counts[k] for k in ("documents", "dropped", "truncated", "split")] == [3, 1, 1, 1]
    assert counts["pieces"] == len(encoded.ids) > 3


def test_no_documents_make_no_rows(tokenizer, tmp_path):
    encoded = encode([], tokenizer, 64, "truncate")
    columns = pack(encoded, 64)
    assert columns["input_ids"].shape == (0, 0)
    assert summary(encoded, columns)["padding_share"] == 0
    write_shards(columns, tmp_path / "none", 10)
    assert len(read_shards(tmp_path / "none")) == 0


def test_shards_are_read_as_they_were_written(encoded, tmp_path):
    columns = pack(encoded, 60)
    write_shards(columns, tmp_path / "rows", shard_rows=3)
    rows = read_shards(tmp_path / "rows")
    for name in COLUMNS:
        column = columns[name]
        assert rows[name] == column.tolist()
        assert rows.features[name].feature.dtype == "int32"
    count = len(columns["input_ids"])
    assert len(list((tmp_path / "rows").glob("*.arrow"))) == -(-count // 3) > 1
    with pytest.raises(FileExistsError, match="old shards"):
        write_shards(columns, tmp_path / "rows", shard_rows=3)


def test_without_packing_each_document_is_a_row_and_batches_are_padded(encoded, tmp_path):
    columns = pack(encoded, 60, packing=False)
    lengths = columns.filled
    assert lengths.tolist() == [len(ids) for ids in encoded.ids]
    counts = summary(encoded, columns)
    assert (counts["rows"], counts["row_length"]) == (len(lengths), max(lengths))
    assert counts["padding_share"] == 0
    write_shards(columns, tmp_path / "rows", 3)
    rows = read_shards(tmp_path / "rows")
    assert rows["input_ids"] == [ids.tolist() for ids in encoded.ids]
    assert row_lengths(rows).tolist() == lengths.tolist()
    short, long = sorted(range(len(lengths)), key=lengths.__getitem__)[:: len(lengths) - 1]
    batch = Collator()([rows[short], rows[long]])
    missing = int(lengths[long] - lengths[short])
    assert missing > 0
    assert batch["labels"][0].tolist() == [*rows[short]["labels"], *[-100] * missing]
    assert batch["position_ids"][0].tolist()[-missing:] == list(range(missing))
    assert batch["input_ids"][1].tolist() == rows[long]["input_ids"]


def test_the_prompt_is_learned_where_the_settings_say_so(tokenizer):
    document = Document("The sea", " is deep")
    alone, both = (encode([document], tokenizer, 64, "truncate", on) for on in (False, True))
    assert alone.ids[0].tolist() == both.ids[0].tolist()
    assert both.labels[0].tolist() == [-100, *both.ids[0].tolist()[1:]]
    assert (alone.labels[0] == -100).sum() > 1


def _file(path, text):
    path.write_text(text)
    return str(path)


def hashes(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).iterdir()}


def test_the_same_rows_are_the_same_bytes_in_another_process(tmp_path):
    code = """
import sys
from deltatune.tokens.encode import pack
from deltatune.tokens.encoded import Encoded
from deltatune.tokens.writer import write_shards

def write(folder, token=1):
    encoded = Encoded(pad_id=0)
    for document in range(4):
        encoded.add(document, [token, 2, 3], [4, document], 3)
        token = 1
    write_shards(pack(encoded, 6), folder, 2)

if __name__ == "__main__":
    write(sys.argv[1])
"""
    write = runpy.run_path(_file(tmp_path / "write.py", code), run_name="write")["write"]
    write(tmp_path / "here")
    library = str(Path(__file__).parents[2] / "scripts")
    there = tmp_path / "there"
    subprocess.run(
        [sys.executable, tmp_path / "write.py", there], check=True, env={"PYTHONPATH": library}
    )
    assert hashes(there) == hashes(tmp_path / "here")
    write(tmp_path / "other", 7)
    changed = {n for n, h in hashes(tmp_path / "other").items() if h != hashes(there)[n]}
    assert changed == {"data-00000-of-00002.arrow", "state.json"}


def test_a_batch_has_no_attention_mask(encoded, tmp_path):
    import torch

    write_shards(pack(encoded, 60), tmp_path / "rows", 100)
    rows = read_shards(tmp_path / "rows")
    batch = Collator()([rows[0], rows[1]])
    assert set(batch) == set(COLUMN_NAMES)
    assert {t.dtype for t in batch.values()} == {torch.int64}
    assert batch["labels"].tolist() == [rows[0]["labels"], rows[1]["labels"]]


@pytest.fixture(scope="module", params=["eager", "sdpa"])
def model(request):
    import torch
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.1,
        attn_implementation=request.param,
    )
    return MistralForCausalLM(config).eval()


def distance_from_alone(model, columns, **settings):
    """Largest difference of a logit in a batch of packed rows from the document on its own."""
    import torch

    rows = [{n: c[i] for n, c in columns.items()} for i in range(len(columns["labels"]))]
    batch = Collator()(rows)
    del batch["labels"]
    worst = 0.0
    with torch.no_grad():
        packed = model(**batch, **settings).logits
        for row, where in documents_in(columns):
            alone = model(batch["input_ids"][row : row + 1, where], use_cache=False).logits[0]
            worst = max(worst, (packed[row, where] - alone).abs().max().item())
    return worst


def test_documents_of_a_row_do_not_see_each_other(model, encoded):
    columns = pack(encoded, 60)
    assert len(list(documents_in(columns))) > len(columns["labels"]) > 1
    assert distance_from_alone(model, columns, use_cache=False) < 1e-5


def test_with_a_mask_or_a_cache_they_would(model, encoded):
    # Why the collator gives no mask and training turns the cache off. When a release of
    # transformers keeps documents apart here too, this fails, and both cautions can go.
    import torch

    columns = pack(encoded, 60)
    ones = torch.ones(columns["labels"].shape, dtype=torch.int64)
    assert distance_from_alone(model, columns, use_cache=False, attention_mask=ones) > 0.01
    assert distance_from_alone(model, columns, use_cache=True) > 0.01


def test_the_loss_of_a_batch_is_the_mean_over_supervised_tokens(model, encoded):
    # Neither padding nor the border between two documents counts.
    import torch

    columns = pack(encoded, 60)
    rows = [{n: c[i] for n, c in columns.items()} for i in range(len(columns["labels"]))]
    with torch.no_grad():
        packed = model(**Collator()(rows), use_cache=False).loss.item()
        total = 0.0
        for ids, labels in zip(encoded.ids, encoded.labels, strict=True):
            alone = model(torch.tensor(ids[None].astype(np.int64)), use_cache=False).logits[0]
            targets = torch.tensor(labels[1:].astype(np.int64))
            total += torch.nn.functional.cross_entropy(alone[:-1], targets, reduction="sum").item()
    assert packed == pytest.approx(total / summary(encoded, columns)["supervised_tokens"], rel=1e-5)


BEFORE, AFTER = "Choose River or Sea.\n\n", "\n\nCategory:"


@pytest.mark.parametrize("length", [64, 73, 90])
def test_of_a_long_text_the_middle_gives_way_and_never_the_template(tokenizer, length):
    text = " ".join(SENTENCES[i % 2] for i in range(30))
    prompt, body = render_labels(f"{BEFORE}{{text}}{AFTER}", text, ["River", "Sea"])
    assert prompt[slice(*body)] == text
    ids, labels = one(Document(prompt, " River", body), tokenizer, length, "shorten_prompt")
    assert len(ids) == length
    whole = text_ids([prompt], tokenizer)[0]
    asked = ids[1 : -len([label for label in labels if label != -100])]
    cut = next(n for n, (a, b) in enumerate(zip(asked, whole, strict=False)) if a != b)
    # One hole, about in the middle of what is left of the text.
    assert asked[cut:] == whole[len(whole) - len(asked) + cut :]
    shown = tokenizer.decode(asked)
    assert shown.startswith(f"{BEFORE}The old") and shown.endswith(f"of them.{AFTER}")
    around = [len(ids) for ids in text_ids([BEFORE, AFTER], tokenizer)]
    assert abs((cut - around[0]) - (len(asked) - cut - around[1])) <= 12


def test_where_the_template_alone_is_too_long_its_beginning_goes(tokenizer):
    prompt, body = render_labels("word " * 50 + "{text}\nCategory:", "the text", ["a", "b"])
    ids, _ = one(Document(prompt, " World", body), tokenizer, 32, "shorten_prompt")
    assert len(ids) == 32 and tokenizer.decode(ids).endswith("\nCategory: World</s>")


def test_a_shortened_prompt_keeps_its_end_and_the_whole_completion(tokenizer):
    long = Document(prompt="word " * 200 + "Category:", completion=" World")
    whole = encode([long], tokenizer, 4096, "shorten_prompt")
    assert not whole.truncated
    ids, cut = whole.ids[0].tolist(), encode([long], tokenizer, 32, "shorten_prompt")
    assert cut.truncated == [0]
    assert cut.ids[0].tolist() == [ids[0], *ids[-31:]]
    supervised = [label for label in whole.labels[0].tolist() if label != -100]
    assert [label for label in cut.labels[0].tolist() if label != -100] == supervised
