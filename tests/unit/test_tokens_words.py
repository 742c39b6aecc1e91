"""Texts by their words have the ids that the tokenizer gives them whole."""

import json

import pytest
from deltatune.tokens import words
from deltatune.tokens.ids import text_ids
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

TRAINING = [
    "It's the 12th of May 2024, isn't it? They'll say  so:\n\nYes, they'll say so.",
    "def f(x):\n    return x[1:] + 'a'  # 3.14159\n",
    "Category: World\nthe the they say May 2024 2024 20 24",
] * 3
# A part of a text: what expressions tell apart, beside what begins or ends with it.
PARTS = [
    *("the", "They", "'ll", "'s", "'", "2024", "7", "May", "x", ".", ",", ":", "(", "'a'", "</s>"),
    *(" ", " ", " ", " ", "  ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "\x0b", "\0", "\x1c"),
    *("é", "e\u0301", "日本", "\u00a0", "\u2003", "🎉", "<tool>"),
]


def split(expression):
    return pre_tokenizers.Split(Regex(expression), behavior="isolated")


def byte_level(prefix=False, regex=True):
    return pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=regex)


DIGITS = pre_tokenizers.Digits(individual_digits=True)
SEPARABLE = {
    "GPT-2": [byte_level()],
    "SmolLM2": [DIGITS, byte_level()],
    "Llama 3": [split(words._LLAMA_3), byte_level(regex=False)],
    "Qwen": [split(words._QWEN), byte_level(regex=False)],
}
OTHERS = {
    "a space before a text": [byte_level(prefix=True)],
    "no cuts": [byte_level(regex=False)],
    "an expression that is not known": [split(r" ?\w+ \w+"), byte_level(regex=False)],
    "cut behind the bytes": [byte_level(regex=False), split(words._QWEN)],
    "sentencepiece": [pre_tokenizers.Metaspace()],
}


def tokenizer_of(steps, normalizer=None, added=()):
    backend = Tokenizer(BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    backend.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["</s>"]
    backend.train_from_iterator(
        TRAINING, BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    )
    backend.add_tokens(list(added))
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>")


def whole(texts, tokenizer):
    rows = tokenizer(texts, add_special_tokens=False, split_special_tokens=True)
    return rows["input_ids"]


@pytest.fixture(params=SEPARABLE, scope="module")
def tokenizer(request):
    normalizer = normalizers.NFC() if request.param == "Qwen" else None
    tokenizer = tokenizer_of(SEPARABLE[request.param], normalizer, ["<tool>"])
    assert words.are_separable(tokenizer)
    assert words.digits_are_apart(tokenizer) == (request.param in ("SmolLM2", "Qwen"))
    return tokenizer


@given(st.lists(st.lists(st.sampled_from(PARTS), max_size=12).map("".join), min_size=1))
def test_any_text_has_the_ids_of_the_tokenizer(tokenizer, texts):
    assert text_ids(texts, tokenizer) == whole(texts, tokenizer)


@pytest.mark.parametrize("steps", OTHERS.values(), ids=OTHERS)
def test_others_are_tokenized_whole(steps):
    tokenizer = tokenizer_of(steps)
    assert not words.are_separable(tokenizer)
    texts = ["the May they say so", "they say"]
    assert text_ids(texts, tokenizer) == whole(texts, tokenizer)


@pytest.mark.parametrize(
    "token", [AddedToken("May 2024"), AddedToken("May", lstrip=True), AddedToken("  ")], ids=str
)
def test_an_added_token_that_may_take_a_space_forbids_it(token):
    tokenizer = tokenizer_of(SEPARABLE["GPT-2"], added=[token])
    assert not words.are_separable(tokenizer)


def test_a_token_that_is_added_later_counts():
    tokenizer = tokenizer_of(SEPARABLE["GPT-2"])
    before = text_ids(["so they say"], tokenizer)
    tokenizer.add_tokens(["so they"])
    assert text_ids(["so they say"], tokenizer) == whole(["so they say"], tokenizer) != before


def test_what_is_remembered_does_not_grow_with_the_texts(monkeypatch):
    monkeypatch.setattr(words, "_MOST", 100)
    seen = words.Words(lambda texts: [[len(text)] for text in texts], parts_digits=False)
    for start in range(0, 20_000, 1000):
        texts = [f"a {number}" for number in range(start, start + 1000)]
        assert seen.ids(texts) == [[1, len(text) - 1] for text in texts]
        assert len(seen._known) <= 1100


def test_the_expressions_are_those_of_the_published_tokenizers():
    # As they stand in tokenizer.json of meta-llama/Meta-Llama-3-8B and of Qwen/Qwen2.5-0.5B.
    llama = (
        r'"(?i:\'s|\'t|\'re|\'ve|\'m|\'ll|\'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?'
        r'[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"'
    ).replace("\\'", "'")
    assert json.loads(llama) == words._LLAMA_3
    assert json.loads(llama.replace("{1,3}", "")) == words._QWEN
