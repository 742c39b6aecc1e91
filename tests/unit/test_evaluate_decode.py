"""Decoding with a cache of constant size, which on a GPU is one captured step: its tokens are those
of transformers' own loop. Here the step runs as it is; benchmarks/ has what a GPU gave."""

import pytest
import tiny
import torch
import transformers
from deltatune.evaluate import decode
from deltatune.evaluate.generate import answer
from deltatune.models.probes import ask
from deltatune.tasks.base import Sampling
from hypothesis import given, settings
from hypothesis import strategies as st

PAD = 0


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def inputs(lengths, seed=0):
    """Prompts of random tokens with padding on the left."""
    width = max(lengths)
    mask = torch.tensor([[0] * (width - n) + [1] * n for n in lengths])
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(3, 300, (len(lengths), width), generator=draw) * mask, mask


def expected(model, ids, mask, new, stops):
    return model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=new,
        do_sample=False,
        use_cache=True,
        pad_token_id=PAD,
        eos_token_id=list(stops) or None,
    )[:, ids.shape[1] :]


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    new=st.integers(1, 2 * decode.STRIDE + 3),
    seed=st.integers(0, 99),
)
def test_tokens_are_those_of_generate(model, lengths, new, seed):
    ids, mask = inputs(lengths, seed)
    free = expected(model, ids, mask, new, [])
    # What a row gives in its middle ends it, and others perhaps elsewhere or never.
    stops = [int(free[0, new // 2])]
    want = expected(model, ids, mask, new, stops)
    got = decode.Steps(model).tokens(ids, mask, max_new_tokens=new, stops=stops, pad=PAD)
    width = min(got.shape[1], want.shape[1])
    assert torch.equal(got[:, :width], want[:, :width])
    # The loop looks now and then, and goes on with padding until it does.
    assert (got[:, width:] == PAD).all() and want.shape[1] <= got.shape[1] <= new


def test_it_ends_soon_after_the_last_row_has(model):
    ids, mask = inputs([4, 9])
    free = expected(model, ids, mask, 40, [])
    stops = sorted({int(free[0, 2]), int(free[1, 3])})
    got = decode.Steps(model).tokens(ids, mask, max_new_tokens=40, stops=stops, pad=PAD)
    assert got.shape[1] <= decode.STRIDE + 1


def test_nothing_is_captured_where_no_step_follows(model, monkeypatch):
    """Capturing runs a step, for whose token there would be no room."""

    def step(decoding):
        raise AssertionError("a step was run")

    monkeypatch.setattr(decode._Decoding, "step", step)
    monkeypatch.setattr(decode, "_captured", step)
    ids, mask = inputs([4, 9])
    tokens = decode.Steps(model).tokens(ids, mask, max_new_tokens=1, stops=[], pad=PAD)
    assert tokens.shape == (2, 1)
    ended = sorted(set(tokens[:, 0].tolist()))
    got = decode.Steps(model).tokens(ids, mask, max_new_tokens=9, stops=ended, pad=PAD)
    assert torch.equal(got, tokens)


def test_a_step_can_be_taken_back(model):
    """As capturing does: the same step again gives the same tokens."""
    ids, mask = inputs([3, 6])
    decoding = decode._Decoding(model, decode._Shape(2, 6, 5, (), PAD, None))
    decoding.read(ids, mask, None)
    state = decoding.state()
    before = [tensor.clone() for tensor in state]
    decoding.step()
    once = decoding.tokens.clone()
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    decoding.step()
    assert torch.equal(decoding.tokens, once)


@given(seeds=st.lists(st.integers(0, 99), min_size=2, max_size=4))
@settings(max_examples=10, deadline=None)
def test_the_next_batch_of_a_shape_has_the_tensors_of_the_last(model, seeds):
    """Where a row's padding was, others have tokens now, and its keys are still there."""
    steps, limits = decode.Steps(model), {"max_new_tokens": 11, "stops": [7], "pad": PAD}
    for number, seed in enumerate(seeds):
        ids, mask = inputs([3 + 4 * (number % 2), 9, 9 - 2 * number], seed)
        want = expected(model, ids, mask, 11, [7])
        kept = steps._kept
        got = steps.tokens(ids, mask, **limits)
        assert torch.equal(got[:, : want.shape[1]], want)
        assert number == 0 or steps._kept is kept
    steps.tokens(*inputs([3, 9]), **limits)
    assert steps._kept is not kept


def test_what_failed_is_not_used_again(model, monkeypatch):
    steps, (ids, mask) = decode.Steps(model), inputs([4, 9])
    limits = {"max_new_tokens": 4, "stops": [], "pad": PAD}
    want = steps.tokens(ids, mask, **limits)
    with monkeypatch.context() as patched:
        patched.setattr(decode._Decoding, "next", lambda decoding, number: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            steps.tokens(ids, mask, **limits)
    assert steps._kept is None
    assert torch.equal(steps.tokens(ids, mask, **limits), want)


def test_a_window_that_forgets_is_refused():
    windowed = tiny.model(sliding_window=8)
    ids, mask = inputs([6])
    decode.Steps(windowed).tokens(ids, mask, max_new_tokens=2, stops=[], pad=PAD)
    with pytest.raises(decode.Refused, match="no constant size"):
        decode.Steps(windowed).tokens(ids, mask, max_new_tokens=3, stops=[], pad=PAD)


def test_a_model_with_another_state_is_refused():
    config = transformers.MambaConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, state_size=4
    )
    mamba = transformers.MambaForCausalLM(config).eval()
    assert not ask(mamba, decode.answers_with_constant_cache)


class Small(torch.nn.Linear):
    """A layer whose result depends on how often it was called before."""

    def forward(self, x):
        self.calls = getattr(self, "calls", 0) + 1
        return super().forward(x).roll(self.calls, -1)


def test_a_model_that_answers_otherwise_is_found(model):
    other = tiny.model()
    other.lm_head.__class__ = Small
    assert not decode.answers_with_constant_cache(other)


def answers(model, decoder=None, **sampling):
    texts = ["She wrote three letters", "Prices", "The old bridge was closed because", "A lantern"]
    return answer(
        *(model, tiny.tokenizer(), texts),
        max_new_tokens=12,
        batch_size=2,
        sampling=Sampling(**sampling) if sampling else None,
        keys=range(len(texts)),
        decoder=decoder,
        progress=lambda text: None,
    )


def test_without_a_gpu_nothing_is_captured(model):
    decoder = decode.Decoder(model)
    answers(model, decoder)
    assert decoder.captured == 0


@pytest.fixture
def on_gpu():
    """As if there were one: the decoder takes `greedy`, which runs each step as it is here."""

    def decoder(model, say=print):
        made = decode.Decoder(model, say)
        made.captures = True
        return made

    return decoder


@pytest.mark.parametrize(
    "sampling", [{}, {"temperature": 2.0, "seed": 3}, {"top_k": 20, "top_p": 0.8, "seed": 3}]
)
def test_answers_are_the_same_both_ways(model, on_gpu, sampling):
    decoder = on_gpu(model)
    assert answers(model, decoder, **sampling) == answers(model, **sampling)
    assert decoder.captured == 2 == sum(decoder.shapes.values())


def test_what_cannot_be_captured_is_launched_and_told(model, on_gpu, monkeypatch):
    def refuse(*arguments, **named):
        raise decode.Refused("operation not permitted when stream is capturing")

    monkeypatch.setattr(decode.Steps, "tokens", refuse)
    messages = []
    decoder = on_gpu(model, messages.append)
    assert answers(model, decoder) == answers(model)
    assert decoder.captured == 0
    assert "MistralForCausalLM" in messages[0] and "not permitted" in messages[0]


def test_memory_that_runs_out_is_not_taken_for_a_refusal(model, on_gpu, monkeypatch):
    def run_out(*arguments, **named):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(decode.Steps, "tokens", run_out)
    with pytest.raises(torch.OutOfMemoryError):
        answers(model, on_gpu(model))
