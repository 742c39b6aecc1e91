"""Batches of labels and running text: the least padding that is worth another forward pass."""

import pytest
import tiny
from deltatune.evaluate import batches, scoring_batches
from deltatune.evaluate.batches import BatchRule, each_alike
from hypothesis import example, given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from test_evaluate_batches import Config

MISTRAL = Config(
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    hidden_size=4096,
    intermediate_size=14336,
)
LONGEST = 905


def tokens(width):
    return 7 * (width + 3)


def cost(made, launching):
    return sum(len(batch.indices) * batch.width + launching for batch in made)


def least(widths, most, launching):
    """The least cost of all ways to cut rows, longest first, into batches: by trying each."""
    costs = [0]
    for start in reversed(range(len(widths))):
        width = widths[start]
        rows = range(1, min(len(widths) - start, max(1, most // tokens(width))) + 1)
        costs.insert(0, min(width * n + launching + costs[n - 1] for n in rows))
    return costs[0]


@given(
    lengths=st.lists(st.integers(1, LONGEST), max_size=60),
    size=st.integers(1, 70),
    launching=st.integers(0, 3000),
)
@example(lengths=[], size=4, launching=10)
@example(lengths=[8] * 1300, size=512, launching=10)
@example(lengths=[905, *[1] * 1300], size=3, launching=0)
def test_each_row_once_within_the_budget_at_the_least_cost(lengths, size, launching):
    made = scoring_batches.cheapest_batches(lengths, size, tokens, launching, LONGEST)
    order = [i for batch in made for i in batch.indices]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    most = size * tokens(made[0].width) if made else 0
    for batch in made:
        longest = max(lengths[i] for i in batch.indices)
        assert batch.width == min(LONGEST, -(-longest // 16) * 16)
        assert len(batch.indices) <= batches.MOST_ROWS
        assert len(batch.indices) == 1 or len(batch.indices) * tokens(batch.width) <= most
    full = batches.budgeted_batches(lengths, size, tokens, multiple=16, longest=LONGEST)
    assert cost(made, launching) <= cost(full, launching)
    if len(lengths) <= 60:
        widths = [min(LONGEST, -(-n // 16) * 16) for n in sorted(lengths, reverse=True)]
        assert cost(made, launching) == least(widths, most, launching)


def test_tokens_that_a_pass_costs_grow_as_models_get_smaller():
    small = Config(
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        hidden_size=576,
        intermediate_size=1536,
    )
    assert batches.block_parameters(MISTRAL) == pytest.approx(6.98e9, rel=1e-3)
    assert batches.block_parameters(small) == pytest.approx(106e6, rel=1e-2)
    assert scoring_batches.LAUNCHING // batches.block_parameters(MISTRAL) == 1103
    # None where a config names nothing.
    assert batches.block_parameters(Config(hidden_size=10)) == 1
    lengths = [*range(20, 250)] * 5
    rule = BatchRule(157, tokens, "budget")
    one, other = (
        scoring_batches.scoring_batches(lengths, rule, config, LONGEST)
        for config in (MISTRAL, small)
    )
    assert len(one) > len(other)
    computed = [cost(made, 0) for made in (one, other)]
    assert computed[0] < computed[1]
    assert scoring_batches.padding_share(one, lengths) == round(1 - sum(lengths) / computed[0], 4)
    assert scoring_batches.padding_share(one, lengths) < 0.2


def test_what_keeps_most_memory_is_computed_before_the_rest():
    rule = BatchRule(100, tokens, "budget")
    lengths = [200, 200, *[100] * 150, *[50] * 300]
    made = scoring_batches.scoring_batches(lengths, rule, MISTRAL, LONGEST)
    kept = [len(batch.indices) * tokens(batch.width) for batch in made]
    assert len(kept) > 1 and kept == sorted(kept, reverse=True)


def test_base_and_tuned_get_the_same_batches():
    """Whether an adapter stands beside the base, is merged, or has not been made."""
    base = tiny.model()
    tuned = get_peft_model(tiny.model(), LoraConfig(r=4, target_modules="all-linear"))
    assert tuned.num_parameters() > base.num_parameters()
    one, other = batches.block_parameters(base.config), batches.block_parameters(tuned.config)
    block = sum(
        weights.numel()
        for name, weights in base.named_parameters()
        if ".layers." in name and "norm" not in name
    )
    assert one == other == block


@pytest.mark.parametrize("source", ["set", "no_gpu"])
def test_batches_that_are_set_are_padded_to_their_longest_rows(source):
    lengths = [3, 70, 41, 9, 9]
    made = scoring_batches.scoring_batches(
        lengths, BatchRule(2, each_alike, source), MISTRAL, LONGEST
    )
    assert [batch.indices for batch in made] == batches.batches_by_length(lengths, 2)
    assert [batch.width for batch in made] == [70, 9, 3]
