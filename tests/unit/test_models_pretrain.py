import pytest
import tiny
import torch
from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.models.pretrain import pretrain, train_tokenizer
from deltatune.models.pretrain_settings import Pretraining
from deltatune.tokens.ids import text_ids
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

SETTINGS = {
    "source": "pretrain",
    "architecture": {
        "vocab_size": 300,
        "hidden_size": 16,
        "intermediate_size": 16,
        "layers": 1,
        "heads": 2,
        "kv_heads": 1,
        "context": 32,
    },
    "steps": 3,
    "batch_tokens": 70,
    "sequence_length": 16,
    "learning_rate": 1e-2,
    "seed": 5,
}


def make(folder, texts=tiny.TEXTS, **changes):
    return pretrain(texts, Pretraining(**SETTINGS | changes), folder, progress=lambda text: None)


def hashes(folder):
    return hashing.write_hashes(folder, folder.with_suffix(".sha256"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path):
    made = {}
    for name, seed in (("model", 5), ("again/model", 5), ("other/model", 6)):
        folder = tmp_path / name
        folder.parent.mkdir(exist_ok=True)
        make(folder, seed=seed)
        made[name] = hashes(folder)
        torch.rand(7)  # nothing depends on what was drawn before
    assert {"model/model.safetensors", "model/tokenizer.json"} <= set(made["model"])
    assert made["model"] == made["again/model"]
    weights = "model/model.safetensors"
    assert made["model"][weights] != made["other/model"][weights]
    assert made["model"]["model/tokenizer.json"] == made["other/model"]["model/tokenizer.json"]


def test_what_is_saved_loads_as_an_ordinary_folder_and_its_figures_are_true(tmp_path):
    figures = make(tmp_path / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert figures["parameters"] == sum(p.numel() for p in model.parameters())
    assert figures["vocabulary"] == len(tokenizer) == model.config.vocab_size
    ids = text_ids(tiny.TEXTS, tokenizer)
    assert figures["corpus_tokens"] == sum(len(row) + 2 for row in ids)
    # 70 tokens are four sequences of 16.
    assert figures["trained_tokens"] == 3 * 4 * 16
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        "<s>",
        "</s>",
        "<unk>",
    )


@pytest.mark.parametrize("steps", [1, 2, 9, 10, 11, 19, 20])
def test_any_number_of_steps(tmp_path, steps):
    messages = []
    chosen = Pretraining(**SETTINGS | {"steps": steps})
    pretrain(tiny.TEXTS, chosen, tmp_path / "model", messages.append)
    assert len(messages) == steps


def test_it_learns(tmp_path):
    figures = make(tmp_path / "model", steps=60)
    assert figures["last_loss"] < figures["first_loss"] - 1


def test_a_text_that_looks_like_the_end_does_not_end_a_document(tmp_path):
    """Training and scoring spell special tokens out where they stand in a record."""
    texts = [*tiny.TEXTS, "one </s> two <s> three"]
    figures = make(tmp_path / "model", texts)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    ids = text_ids(texts, tokenizer)
    assert len(ids[-1]) > 7
    assert figures["corpus_tokens"] == sum(len(row) + 2 for row in ids)


def test_too_short_a_corpus_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"less than one training sequence of 16.*corpus"):
        make(tmp_path / "model", ["Too short."])


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"not finite \(NaN or infinity\) at step .*learning_rate"):
        make(tmp_path / "model", learning_rate=1e30, steps=20)


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_the_tokenizer_gives_any_text_back(text):
    tokenizer = tiny.tokenizer()
    ids = text_ids([text], tokenizer)[0]
    assert tokenizer.decode(ids) == text
    assert tokenizer.unk_token_id not in ids


def test_digits_stand_alone_and_the_vocabulary_is_as_large_as_asked():
    tokenizer = train_tokenizer(["1234 1234 1234 1234 river river river"] * 9, 300)
    assert tokenizer.tokenize("1234") == ["1", "2", "3", "4"]
    assert len(tokenizer) <= 300
    assert len(train_tokenizer(tiny.TEXTS, 320)) == 320
