import math

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from deltatune.core.errors import UserError
from deltatune.evaluate.likelihood import choose, score_completions, score_windows, windows
from deltatune.tokens.encode import encode
from deltatune.tokens.ids import bos_ids, continuation_ids, text_ids
from deltatune.tokens.prompts import Document
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = [" World", " Sports", " the river had risen", " B", " Sci/Tech and ünïcode"]
PROMPTS = [
    "Prices fell for the third month, said the ministry.\n\nCategory:",
    "She wrote.\n\nCategory:",
    "Name a river that flows into the Black Sea, and how long it is.\n\nCategory:",
    "The old bridge was closed.\n\nCategory:",
]
TOKENIZERS = {"bos": tiny.tokenizer, "no bos": tiny.without_bos}
LONG = " ".join(tiny.TEXTS)


@pytest.fixture(scope="module")
def model():
    return tiny.model()


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request):
    return TOKENIZERS[request.param]()


def quiet(text):
    pass


# ---------------------------------------------------------------- windows


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.integers(4, 60), st.sampled_from(sorted(TOKENIZERS)))
def test_windows_split_the_text_byte_for_byte_and_token_for_token(text, context, kind):
    tokenizer = TOKENIZERS[kind]()
    ids = text_ids([text], tokenizer)[0]
    bos = bos_ids(tokenizer)
    sliding = windows(text, tokenizer, context)
    position = 0 if bos else min(1, len(ids))
    for window in sliding:
        assert 1 <= window.scored <= len(window.ids) - 1
        assert len(window.ids) <= context
        assert window.ids[: len(bos)] == bos
        read = window.ids[len(bos) :]
        position += window.scored
        assert read == ids[position - len(read) : position]
        # Half of the context, or all there is, stands before what is scored.
        assert len(window.ids) - window.scored >= min(position - window.scored, context // 2 - 1)
    assert position == len(ids)
    if bos:
        assert sum(w.bytes for w in sliding) == len(text.encode())
        assert sum(w.words for w in sliding) == len(text.split())
    elif sliding:
        # The bytes of the first token are not scored, and not counted either.
        assert sum(w.bytes for w in sliding) <= len(text.encode())


def test_a_character_of_many_tokens_is_counted_once():
    """Byte pieces of one character lie on both sides of an edge."""
    text = "🜁🜂🜃🜄" * 20
    sliding = windows(text, tiny.tokenizer(), 10)
    assert len(sliding) > 10
    assert sum(w.bytes for w in sliding) == len(text.encode())
    assert sum(w.words for w in sliding) == 1


def test_perplexity_of_a_text_that_fits_is_that_of_a_plain_forward_pass(model, tokenizer):
    text = tiny.TEXTS[0]
    ids = bos_ids(tokenizer) + text_ids([text], tokenizer)[0]
    (window,) = windows(text, tokenizer, len(ids))
    (nll,) = score_windows(model, tokenizer, [window], batch_size=1, progress=quiet)
    logs = tiny.log_probabilities(model, ids)
    expected = -logs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].mean().item()
    assert window.scored == len(ids) - 1
    assert math.exp(nll / window.scored) == pytest.approx(math.exp(expected), rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_windows_score_the_same_in_any_batch(model, tokenizer, batch_size):
    parts = [w for text in (LONG, tiny.TEXTS[1], "a") for w in windows(text, tokenizer, 24)]
    nlls = score_windows(model, tokenizer, parts, batch_size=batch_size, progress=quiet)
    for window, nll in zip(parts, nlls, strict=True):
        logs = tiny.log_probabilities(model, window.ids)
        picked = logs[torch.arange(len(window.ids) - 1), torch.tensor(window.ids[1:])]
        assert nll == pytest.approx(-picked[-window.scored :].sum().item(), abs=1e-4)


@pytest.mark.parametrize("scheme", ["sliding", "lm_eval"])
def test_no_text_no_windows(tokenizer, scheme):
    assert windows("", tokenizer, 32, scheme) == []


@pytest.mark.parametrize("tokens", [1, 11, 12, 13, 24, 40])
def test_rolling_windows_read_what_those_of_lm_eval_read(model, tokenizer, tokens):
    """Its definition, token by token: windows of `context` follow each other, each token is
    predicted from the token before the window and those of the window before it; in the last one,
    if it is not the only one, from the last `context` tokens of the row.
    benchmarks/lm_eval_agreement.py compares with the package itself."""
    context = 12
    ids = text_ids([LONG], tokenizer)[0][:tokens]
    text = tokenizer.decode(ids)
    assert text_ids([text], tokenizer)[0] == ids
    row = [*(bos_ids(tokenizer) or [tokenizer.eos_token_id]), *ids]
    last = (tokens - 1) // context
    expected = 0.0
    for token, target in enumerate(ids):
        window = token // context
        start = tokens - context if window == last > 0 else window * context
        history = row[start : token + 1]
        assert len(history) <= context
        expected -= tiny.log_probabilities(model, [*history, target])[-1, target].item()
    parts = windows(text, tokenizer, context, "lm_eval")
    assert sum(part.scored for part in parts) == tokens
    nll = score_windows(model, tokenizer, parts, batch_size=3, progress=quiet).sum()
    assert nll == pytest.approx(expected, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=300), st.integers(4, 60), st.sampled_from(sorted(TOKENIZERS)))
def test_rolling_windows_split_the_text_byte_for_byte(text, context, kind):
    tokenizer = TOKENIZERS[kind]()
    parts = windows(text, tokenizer, context, "lm_eval")
    assert sum(part.bytes for part in parts) == len(text.encode())
    assert sum(part.words for part in parts) == len(text.split())
    assert sum(part.scored for part in parts) == len(text_ids([text], tokenizer)[0])
    # A model with `context` positions reads all but the last token.
    assert all(part.scored < len(part.ids) <= context + 1 for part in parts)


# ---------------------------------------------------------------- completions


def full_rows(model, tokenizer, prompts, completions, max_length):
    """Each prompt with each completion in a row of its own."""
    ends = continuation_ids(completions, tokenizer)
    bos = bos_ids(tokenizer)
    room = max_length - len(bos) - max(map(len, ends)) - 1
    scores = np.zeros((len(prompts), len(completions)))
    for i, prompt in enumerate(text_ids(prompts, tokenizer)):
        for j, end in enumerate(ends):
            ids = bos + prompt[-room:] + end
            logs = tiny.log_probabilities(model, ids)[-len(end) :]
            scores[i, j] = logs[torch.arange(len(end)), torch.tensor(end)].sum().item()
    return scores


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_shared_cache_gives_what_full_rows_give(model, tokenizer, batch_size):
    lengths = {len(ids) for ids in continuation_ids(LABELS, tokenizer)}
    assert len(lengths) > 2 and min(lengths) < max(lengths)
    scores = score_completions(
        model, tokenizer, PROMPTS, LABELS, max_length=64, batch_size=batch_size, progress=quiet
    )
    assert scores.shape == (len(PROMPTS), len(LABELS))
    expected = full_rows(model, tokenizer, PROMPTS, LABELS, 64)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_logits_of_a_prompt_are_computed_for_its_last_token_alone(model, tokenizer):
    """A row of 256 tokens has 256 times as many logits as are needed."""
    rows = []
    hook = model.lm_head.register_forward_pre_hook(lambda m, given: rows.append(given[0].shape[1]))
    ends = continuation_ids(LABELS, tokenizer)
    score_completions(
        model, tokenizer, PROMPTS, LABELS, max_length=64, batch_size=4, progress=quiet
    )
    hook.remove()
    assert rows == [1, max(map(len, ends)) - 1]


def test_labels_of_one_token(model):
    tokenizer = tiny.tokenizer()
    labels = ["B", "C", "Q"]
    assert {len(ids) for ids in continuation_ids(labels, tokenizer)} == {1}
    scores = score_completions(
        model, tokenizer, PROMPTS, labels, max_length=64, batch_size=2, progress=quiet
    )
    expected = full_rows(model, tokenizer, PROMPTS, labels, 64)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_a_long_prompt_is_shortened_as_in_training(model, tokenizer):
    """The row that is scored is the row that is trained on, the eos apart."""
    labels = [" World"]
    (label_ids,) = continuation_ids(labels, tokenizer)
    document = Document(LONG + "\n\nCategory:", labels[0])
    trained = encode([document], tokenizer, 40, "shorten_prompt")
    assert trained.truncated == [0]
    ids = trained.ids[0].tolist()
    assert ids[-1] == tokenizer.eos_token_id
    logs = tiny.log_probabilities(model, ids[:-1])[-len(label_ids) :]
    expected = logs[torch.arange(len(label_ids)), torch.tensor(label_ids)].sum().item()
    scores = score_completions(
        model, tokenizer, [document.prompt], labels, max_length=40, batch_size=1, progress=quiet
    )
    assert scores[0, 0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("spare", [-5, -1, 0, 1])
def test_labels_that_leave_no_room_for_a_prompt(model, tokenizer, spare):
    longest = max(map(len, continuation_ids(LABELS, tokenizer)))
    max_length = len(bos_ids(tokenizer)) + longest + 1 + spare

    def score():
        return score_completions(
            model, tokenizer, PROMPTS, LABELS, max_length=max_length, batch_size=2, progress=quiet
        )

    if spare < 1:
        with pytest.raises(UserError, match="max_length"):
            score()
    else:
        expected = full_rows(model, tokenizer, PROMPTS, LABELS, max_length)
        np.testing.assert_allclose(score(), expected, atol=1e-4)


# ---------------------------------------------------------------- choosing


def test_calibration_divides_by_the_bias_of_prompts_without_content():
    texts = pd.DataFrame({"id": [4, 7], "text": ["x", "y"], "label": ["a", "b"], "prompt": "p"})
    scores = np.log([[0.6, 0.3], [0.5, 0.1]])
    empty = np.log([[0.5, 0.1], [0.3, 0.1]])  # mean 0.4 and 0.1
    chosen = choose(texts, scores, empty, ["a", "b"])
    assert list(chosen.columns) == [
        "id",
        "text",
        "label",
        "predicted",
        "predicted_calibrated",
        "logprobs",
    ]
    assert chosen["predicted"].tolist() == ["a", "a"]
    # 0.6/0.4 against 0.3/0.1, and 0.5/0.4 against 0.1/0.1.
    assert chosen["predicted_calibrated"].tolist() == ["b", "a"]
    np.testing.assert_allclose(np.stack(chosen["logprobs"]), scores)


def test_calibration_of_a_label_that_is_all_but_impossible():
    """A long label can be e^-800 times as likely as a short one; its prior is small, not zero."""
    texts = pd.DataFrame({"id": [1], "text": ["x"], "label": ["a"]})
    chosen = choose(texts, np.array([[-2.0, -990.0]]), np.array([[-1.0, -900.0]]), ["a", "b"])
    assert chosen["predicted_calibrated"].tolist() == ["a"]
