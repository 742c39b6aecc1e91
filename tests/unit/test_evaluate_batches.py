"""Batches of `auto`: they follow from lengths and the model's config alone."""

from types import SimpleNamespace

import pytest
from deltatune.evaluate import batches
from hypothesis import given
from hypothesis import strategies as st

# layers, attention heads, key-value heads, size of a head, hidden size
MODELS = {
    "Mistral-7B": (32, 32, 8, None, 4096),
    "Llama-2-7B": (32, 32, None, None, 4096),
    "SmolLM2-135M": (30, 9, 3, 64, 576),
    "Gemma-2-2B": (26, 8, 4, 256, 2304),
}


class Config(SimpleNamespace):
    def get_text_config(self):
        return self


def config(layers, heads, shared, size, hidden):
    return Config(
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=shared,
        head_dim=size,
        hidden_size=hidden,
    )


@pytest.mark.parametrize(
    "model, width, new, rows",
    [
        ("Mistral-7B", 128, 256, 192),
        ("Mistral-7B", 100, 256, 192),
        ("Mistral-7B", 768, 256, 72),
        ("Mistral-7B", 32_000, 768, 2),
        ("Mistral-7B", 100_000, 256, 1),
        ("Llama-2-7B", 128, 256, 48),
        ("SmolLM2-135M", 320, 256, 512),
        ("SmolLM2-135M", 1792, 256, 204),
        ("Gemma-2-2B", 128, 256, 236),
    ],
)
def test_rows_that_a_batch_takes(model, width, new, rows):
    token = batches.cache_bytes(config(*MODELS[model]))
    lengths = [5, width, 17]
    assert batches.rows_within_budget(lengths, lambda width: token * (width + new)) == rows


def test_tokens_of_a_forward_pass():
    """Of Mistral-7B, some tens of thousands: weights are read once for all of them."""
    mistral = Config(hidden_size=4096, intermediate_size=14336, vocab_size=32_000)
    token = batches.forward_bytes(mistral)
    assert token == 16 * 4096 + 12 * 14336
    assert 35_000 < batches.BUDGET // token < 45_000
    assert batches.logits_bytes(mistral) == 64_000
    assert batches.forward_bytes(Config(hidden_size=10)) == 16 * 10 + 12 * 40


def test_layers_that_differ_count_like_the_largest():
    lists = Config(
        num_hidden_layers=4, num_attention_heads=[2, 4], num_key_value_heads=[1, 2], hidden_size=32
    )
    assert batches.cache_bytes(lists) == 4 * 2 * 8 * 2 * 2
    assert batches.cache_bytes(Config(num_hidden_layers=3, hidden_size=10)) == 3 * 10 * 4


@given(
    lengths=st.lists(st.integers(1, 900), max_size=60),
    size=st.integers(1, 70),
    new=st.integers(0, 300),
    longest=st.none() | st.integers(900, 1000),
)
def test_batches_within_what_the_longest_keep(lengths, size, new, longest):
    def row_bytes(width):
        return 7 * (width + new)

    made = batches.budgeted_batches(lengths, size, row_bytes, longest=longest)
    order = [i for batch in made for i in batch.indices]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for batch in made:
        assert max(lengths[i] for i in batch.indices) <= batch.width
        assert batch.width % batches.MULTIPLE == 0 or batch.width == longest
        kept = len(batch.indices) * row_bytes(batch.width)
        assert len(batch.indices) == 1 or kept <= size * row_bytes(made[0].width)
    # One shape for each width, but where the rows end.
    shapes = {(batch.width, len(batch.indices)) for batch in made[:-1]}
    assert len(shapes) == len({width for width, _ in shapes})


def test_no_more_rows_than_what_is_worth_it():
    made = batches.budgeted_batches([900] + [1] * 1200, 2, lambda width: width)
    assert [len(batch.indices) for batch in made[:3]] == [2, 30, 30]
    made = batches.budgeted_batches([9000, *[1] * 1200], 4, lambda width: width)
    assert [len(batch.indices) for batch in made] == [4, 512, 512, 173]
    made = batches.budgeted_batches([1] * 1200, 700, batches.each_alike)
    assert [len(batch.indices) for batch in made] == [700, 500]
    assert batches.rows_within_budget([3], lambda width: 1) == 512
    assert batches.budgeted_batches([], 4, lambda width: 1) == []
