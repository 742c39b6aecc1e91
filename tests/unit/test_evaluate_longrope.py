"""LongRoPE has one set of rotary frequencies for passes up to a length and another for longer ones,
whichever rows are in them: rows are read as they are alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tiny
import torch
from deltatune.evaluate import decode, generate, scoring_batches
from deltatune.evaluate.batches import BatchRule, each_alike
from deltatune.evaluate.generate import answer
from deltatune.evaluate.label_likelihood import score_completions
from deltatune.evaluate.likelihood import score_windows, windows
from deltatune.models.architecture import frequencies_change
from test_evaluate_batches import Config
from transformers import Phi3Config, Phi3ForCausalLM

LIMIT, NEW = 32, 8
TEXT = " ".join(tiny.TEXTS)
#: Of 2 tokens to 84: some beyond the limit, and one that its answer takes beyond it.
PROMPTS = ["A", *(TEXT[:length] for length in (28, 60, 75, 90, 96, 140, 260))]
LABELS = [" World", " Sports and games"]
quiet = {"progress": lambda text: None}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    rope = {"rope_type": "longrope", "long_factor": [4.0] * 8, "short_factor": [1.0] * 8}
    config = Phi3Config(
        **{"vocab_size": len(tiny.tokenizer()), "hidden_size": 64, "intermediate_size": 64},
        **{"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2},
        **{"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "initializer_range": 0.3},
        max_position_embeddings=8 * LIMIT,
        original_max_position_embeddings=LIMIT,
        rope_parameters=rope | {"rope_theta": 10_000.0},
    )
    return Phi3ForCausalLM(config).eval()


def alone(run, values):
    return [run([value])[0] for value in values]


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Widths of few shapes, and a budget."""
    monkeypatch.setattr(generate, "_on_gpu", lambda model: True)
    made = scoring_batches.scoring_batches

    def budgeted(lengths, rule, *rest, **named):
        rule = BatchRule(4, lambda width: width, "budget")
        return made(lengths, rule, *rest, **named)

    for module in ("likelihood", "label_passes"):
        monkeypatch.setattr(f"deltatune.evaluate.{module}.scoring_batches", budgeted)


def same_in_batches(run, values):
    known = np.array(alone(run, values))
    for order in (values, values[::-1]):
        np.testing.assert_allclose(run(order), known, atol=1e-3)
        known = known[::-1]


def test_lengths_lie_on_both_sides(model):
    lengths = [
        len(ids) + 1 for ids in tiny.tokenizer()(PROMPTS, add_special_tokens=False).input_ids
    ]
    crossing = [n for n in lengths if n <= LIMIT < n + NEW]
    assert len(crossing) > 1 and min(lengths) + NEW < LIMIT < max(lengths)
    assert frequencies_change(model.config) == LIMIT
    assert frequencies_change(tiny.model().config) == sys.maxsize


@pytest.mark.parametrize("gpu", [False, True])
def test_running_text(model, gpu, request):
    if gpu:
        request.getfixturevalue("as_on_a_gpu")
    texts = [TEXT, *PROMPTS[1:6]]
    parts = [part for text in texts for part in windows(text, tiny.tokenizer(), 64)]

    def run(some):
        return score_windows(model, tiny.tokenizer(), some, batch_size=4, **quiet)

    known = [
        -tiny.log_probabilities(model, part.ids)[range(-part.scored, 0), part.ids[-part.scored :]]
        .sum()
        .item()
        for part in parts
    ]
    np.testing.assert_allclose(run(parts), known, atol=1e-3)


@pytest.mark.parametrize("gpu", [False, True])
def test_labels(model, gpu, request):
    if gpu:
        request.getfixturevalue("as_on_a_gpu")
    options = {"max_length": 128, "batch_size": 4} | quiet

    def run(some):
        return score_completions(model, tiny.tokenizer(), some, LABELS, **options).ended

    same_in_batches(run, PROMPTS)


@pytest.mark.parametrize("gpu", [False, True])
def test_answers(model, gpu, request):
    if gpu:
        request.getfixturevalue("as_on_a_gpu")
    options = {"max_new_tokens": NEW, "batch_size": 4} | quiet
    tokenizer = tiny.tokenizer()

    def greedy(prompt):
        ids, made = (
            [tokenizer.bos_token_id, *tokenizer(prompt, add_special_tokens=False).input_ids],
            [],
        )
        while len(made) < NEW and tokenizer.eos_token_id not in made:
            with torch.inference_mode():
                logits = model(input_ids=torch.tensor([ids + made]), use_cache=False).logits
            made.append(int(logits[0, -1].argmax()))
        return tokenizer.decode(made, skip_special_tokens=True)

    known = [greedy(prompt) for prompt in PROMPTS]
    decoder = decode.Decoder(model)
    decoder.captures = gpu
    given = answer(model, tokenizer, PROMPTS, decoder=decoder, **options)
    assert [one.text for one in given] == known
    # What the steps would keep of an answer that goes beyond the limit is of no use behind it.
    assert (0 < decoder.captured < sum(decoder.shapes.values())) is gpu


def test_batches_are_of_one_side():
    config = Config(
        rope_parameters={
            **{"rope_type": "longrope", "original_max_position_embeddings": 100},
        }
    )
    lengths = [99, 100, 101, 105, 106, 300]
    for rule in (
        BatchRule(9, each_alike, "set"),
        BatchRule(9, each_alike, "budget"),
    ):
        made = scoring_batches.scoring_batches(lengths, rule, config, 400)
        assert [sorted(batch.indices) for batch in made] == [[2, 3, 4, 5], [0, 1]]
        assert made[1].width == 100
        made = scoring_batches.scoring_batches(lengths, rule, config, 400, beside=5)
        assert [sorted(batch.indices) for batch in made] == [[4, 5], [0, 1, 2, 3]]
