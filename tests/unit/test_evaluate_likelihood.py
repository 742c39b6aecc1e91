import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from deltatune.core.errors import UserError
from deltatune.evaluate import batches, label_passes, label_tree, likelihood
from deltatune.evaluate.label_likelihood import LabelScores, choose, score_completions
from deltatune.evaluate.likelihood import evaluate, score_windows, windows
from deltatune.evaluate.likelihood_settings import TextSettings
from deltatune.models import probes
from deltatune.models.architecture import attention_window
from deltatune.tasks.base import Passage
from deltatune.tokens.encode import encode
from deltatune.tokens.encoded import IGNORED
from deltatune.tokens.ids import bos_ids, continuation_ids, pad_id, text_ids
from deltatune.tokens.prompts import Document
from hypothesis import given, settings
from hypothesis import strategies as st

LABELS = [" World", " Sports", " the river had risen", " B", " Sci/Tech and ünïcode"]
#: Labels that begin others.
NESTED = [" bug", " bug report", " b", " bug report found"]
PROMPTS = [
    "Prices fell for the third month, said the ministry.\n\nCategory:",
    "She wrote.\n\nCategory:",
    "Name a river that flows into the Black Sea, and how long it is.\n\nCategory:",
    "The old bridge was closed.\n\nCategory:",
]
TOKENIZERS = {"bos": tiny.tokenizer, "no bos": tiny.without_bos, "not put": tiny.naming_bos}
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
        assert "".join(w.text for w in sliding) == text
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


@pytest.mark.parametrize(("batch_size", "at_once"), [(1, 2**26), (3, 2000), (100, 2**26)])
def test_windows_score_the_same_in_any_batch(model, tokenizer, batch_size, at_once, monkeypatch):
    monkeypatch.setattr(likelihood, "AT_ONCE", at_once)
    parts = [w for text in (LONG, tiny.TEXTS[1], "a") for w in windows(text, tokenizer, 24)]
    nlls = score_windows(model, tokenizer, parts, batch_size=batch_size, progress=quiet)
    for window, nll in zip(parts, nlls, strict=True):
        logs = tiny.log_probabilities(model, window.ids)
        picked = logs[torch.arange(len(window.ids) - 1), torch.tensor(window.ids[1:])]
        assert nll == pytest.approx(-picked[-window.scored :].sum().item(), abs=1e-4)


def test_windows_have_no_logits_before_what_is_scored(model):
    tokenizer, rows = tiny.tokenizer(), []
    parts = windows(LONG, tokenizer, 24)[1:]
    assert len(parts) > 3
    hook = model.lm_head.register_forward_pre_hook(lambda m, args: rows.append(args[0].shape[1]))
    score_windows(model, tokenizer, parts, batch_size=100, progress=quiet)
    hook.remove()
    before = min(len(part.ids) - part.scored for part in parts)
    assert before > 5 and rows == [max(len(part.ids) for part in parts) - before]


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
    named = tokenizer.bos_token_id
    row = [tokenizer.eos_token_id if named is None else named, *ids]
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
    """Each prompt with each completion in a row of its own: with the end, and without."""
    labels = continuation_ids(completions, tokenizer)
    bos = bos_ids(tokenizer)
    room = max_length - len(bos) - max(map(len, labels)) - 1
    scores = np.zeros((2, len(prompts), len(completions)))
    for i, prompt in enumerate(text_ids(prompts, tokenizer)):
        for j, label in enumerate(labels):
            for k, end in enumerate(([*label, tokenizer.eos_token_id], label)):
                ids = bos + prompt[-room:] + end
                logs = tiny.log_probabilities(model, ids)[-len(end) :]
                scores[k, i, j] = logs[torch.arange(len(end)), torch.tensor(end)].sum().item()
    return scores


def both(scores):
    return np.stack([scores.ended, scores.label])


@pytest.mark.parametrize("batch_size", [1, 3])
@pytest.mark.parametrize("labels", [LABELS, NESTED])
@pytest.mark.parametrize("allowed", [["reads_label_trees"], ["shares_cache"], []])
def test_each_way_gives_what_full_rows_give(tokenizer, labels, batch_size, allowed, monkeypatch):
    model = tiny.model(max_position_embeddings=128)
    lengths = {len(ids) for ids in continuation_ids(labels, tokenizer)}
    assert len(lengths) > 2 and min(lengths) < max(lengths)
    monkeypatch.setattr(label_passes, "ask", lambda model, asked: asked.__name__ in allowed)
    scores = score_completions(
        model, tokenizer, PROMPTS, labels, max_length=64, batch_size=batch_size, progress=quiet
    )
    assert scores.ended.shape == scores.label.shape == (len(PROMPTS), len(labels))
    assert scores.in_one_pass == (len(PROMPTS) if "reads_label_trees" in allowed else 0)
    expected = full_rows(model, tokenizer, PROMPTS, labels, 64)
    np.testing.assert_allclose(both(scores), expected, atol=1e-5)


def test_labels_that_begin_alike_are_read_once():
    tree = label_tree.label_tree([[5, 6, 2], [5, 7, 2], [5, 2], [8, 2]], torch.device("cpu"))
    assert tree.tokens.tolist() == [5, 6, 7, 8]
    assert tree.depths.tolist() == [0, 1, 1, 0]
    assert tree.sees.int().tolist() == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
    assert tree.sources.tolist() == [[0, 1, 2], [0, 1, 3], [0, 1, 0], [0, 4, 0]]
    assert tree.targets.tolist() == [[5, 6, 2], [5, 7, 2], [5, 2, 0], [8, 2, 0]]


@pytest.mark.parametrize("at_once", [1, 2**26])
def test_one_pass_computes_no_logits_but_those_of_labels(model, tokenizer, at_once, monkeypatch):
    """A row of 256 tokens has 256 times as many logits as are needed."""
    monkeypatch.setattr(label_tree, "AT_ONCE", at_once)
    passes, rows = [], []
    hooks = [
        model.register_forward_pre_hook(
            lambda m, args, kwargs: passes.append(kwargs["input_ids"].shape), with_kwargs=True
        ),
        model.lm_head.register_forward_pre_hook(lambda m, args: rows.append(args[0].shape[1])),
    ]
    ids = continuation_ids(NESTED, tokenizer)
    nodes = len({tuple(label[:stop]) for label in ids for stop in range(1, len(label) + 1)})
    scores = score_completions(
        model, tokenizer, PROMPTS, NESTED, max_length=64, batch_size=4, progress=quiet
    )
    for hook in hooks:
        hook.remove()
    assert nodes < sum(map(len, ids))
    longest = max(map(len, text_ids(PROMPTS, tokenizer))) + len(bos_ids(tokenizer))
    assert passes == [(len(PROMPTS), longest + nodes)] and rows == [1 + nodes]
    expected = full_rows(model, tokenizer, PROMPTS, NESTED, 64)
    np.testing.assert_allclose(both(scores), expected, atol=1e-5)


def test_rows_longer_than_a_window_are_not_read_in_one_pass(tokenizer):
    """A mask that is given takes the place of a model's own, that of its window too."""
    ids = continuation_ids(NESTED, tokenizer)
    nodes = len({tuple(label[:stop]) for label in ids for stop in range(1, len(label) + 1)})
    lengths = [len(bos_ids(tokenizer)) + len(ids) for ids in text_ids(PROMPTS, tokenizer)]
    assert min(lengths) < sorted(lengths)[-2]
    windowed = tiny.model(sliding_window=min(lengths) + nodes)
    scores = score_completions(
        windowed, tokenizer, PROMPTS, NESTED, max_length=64, batch_size=1, progress=quiet
    )
    assert scores.in_one_pass == lengths.count(min(lengths))
    expected = full_rows(windowed, tokenizer, PROMPTS, NESTED, 64)
    np.testing.assert_allclose(both(scores), expected, atol=1e-5)


def test_what_limits_a_row_is_taken_from_the_config():
    assert attention_window(tiny.model()) == 64
    assert attention_window(tiny.model(sliding_window=9)) == 9
    fields = {"use_sliding_window": True, "sliding_window": None, "max_window_layers": 2}
    config = SimpleNamespace(to_dict=lambda: fields | {"attention_chunk_size": 30})
    assert attention_window(SimpleNamespace(config=config)) == 30


def test_labels_of_one_token(model):
    tokenizer = tiny.tokenizer()
    labels = ["B", "C", "Q"]
    assert {len(ids) for ids in continuation_ids(labels, tokenizer)} == {1}
    scores = score_completions(
        model, tokenizer, PROMPTS, labels, max_length=64, batch_size=2, progress=quiet
    )
    expected = full_rows(model, tokenizer, PROMPTS, labels, 64)
    np.testing.assert_allclose(both(scores), expected, atol=1e-4)


@pytest.mark.parametrize("body", [None, (0, len(LONG))])
def test_a_label_and_its_end_are_scored_as_in_training(body, model, tokenizer):
    """The row that is scored is the row that is trained on, a long prompt shortened, and the
    tokens that count are those that the loss counts."""
    document = Document(f"{LONG}\n\nCategory:", " World", body)
    trained = encode([document], tokenizer, 40, "shorten_prompt")
    assert trained.truncated == [0]
    ids = trained.ids[0].tolist()
    supervised = torch.tensor(trained.labels[0][1:] != IGNORED)
    logs = tiny.log_probabilities(model, ids)[torch.arange(len(ids) - 1), torch.tensor(ids[1:])]
    scores = score_completions(
        model, tokenizer, [document.prompt], [" World"], bodies=[body],
        max_length=40, batch_size=1, progress=quiet,
    )  # fmt: skip
    assert scores.ended[0, 0] == pytest.approx(logs[supervised].sum().item(), abs=1e-4)


def test_an_empty_prompt_without_a_bos_stands_after_eos(model):
    tokenizer = tiny.without_bos()
    scores = score_completions(
        model, tokenizer, ["", "a"], [" World"], max_length=40, batch_size=2, progress=quiet
    )
    (label,) = continuation_ids([" World"], tokenizer)
    logs = tiny.log_probabilities(model, [tokenizer.eos_token_id, *label])
    expected = logs[torch.arange(len(label)), torch.tensor(label)].sum().item()
    assert scores.label[0, 0] == pytest.approx(expected, abs=1e-4)


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
        np.testing.assert_allclose(both(score()), expected, atol=1e-4)


# ---------------------------------------------------------------- labels that begin another


ROWS = ["The old bridge", "She wrote three letters", "Prices fell", "The Danube", "A lantern"]


def tuned_on(rows, tokenizer):
    """A tiny model trained on (text, label) as the pipeline trains."""
    tuned = tiny.model(spread=0.1).train()
    documents = [Document(f"{text}\n\nCategory:", f" {label}") for text, label in rows]
    encoded = encode(documents, tokenizer, 64, "shorten_prompt")
    optimizer = torch.optim.AdamW(tuned.parameters(), lr=3e-3)
    for _ in range(40):
        for ids, labels in zip(encoded.ids, encoded.labels, strict=True):
            input_ids, targets = (torch.from_numpy(row).long()[None] for row in (ids, labels))
            tuned(input_ids=input_ids, labels=targets).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return tuned.eval()


def evaluated(labels, tokenizer):
    """Tuned on texts with two labels in turn: the predictions, and the scores."""
    rows = [(text, labels[number % 2]) for number, text in enumerate(ROWS)]
    tuned = tuned_on(rows, tokenizer)
    scores, empty = [
        score_completions(
            tuned,
            tokenizer,
            [f"{text}\n\nCategory:" for text in texts],
            [f" {label}" for label in labels],
            max_length=64,
            batch_size=4,
            progress=quiet,
        )
        for texts in (ROWS, ["N/A", ""])
    ]
    questions = pd.DataFrame(rows, columns=["text", "label"]).assign(id=range(len(rows)))
    return choose(questions, scores, empty, labels), scores


@pytest.mark.parametrize(
    ("labels", "other"),
    [(["1", "10"], ["1", "2"]), (["bug", "bug report"], ["bug", "report"])],
)
def test_a_label_that_begins_another_wins_where_it_is_right(tokenizer, labels, other):
    shorter, longer = continuation_ids([f" {label}" for label in labels], tokenizer)
    assert longer[: len(shorter)] == shorter
    chosen, scores = evaluated(labels, tokenizer)
    assert scores.nested.tolist() == [False, True]
    # Without its end, the shorter one is as likely as the longer one at least, whatever the text.
    assert (scores.label[:, 0] >= scores.label[:, 1]).all()
    again, _ = evaluated(other, tokenizer)
    for outputs in (chosen, again):
        assert outputs["predicted"].tolist() == outputs["label"].tolist()
        assert outputs["predicted_calibrated"].nunique() == 2


# ---------------------------------------------------------------- batches of `auto`


@pytest.fixture
def budget(monkeypatch):
    """Batches as on a GPU, of at most so many tokens of the tiny model."""

    def rule(*given, **named):
        return batches.batch_rule(*given, **named | {"on_gpu": True})

    def of(tokens: int, logits: int) -> None:
        config = tiny.model().config
        token = batches.forward_bytes(config) + logits * batches.logits_bytes(config)
        monkeypatch.setattr(batches, "BUDGET", tokens * token)
        for module in (likelihood, label_passes):
            monkeypatch.setattr(module, "batch_rule", rule)

    return of


def shapes(model, run):
    """What `run` gives, and the shape of each forward pass."""
    seen = []
    hook = model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    result = run()
    hook.remove()
    return result, seen


def test_windows_fill_a_budget_of_tokens(model, budget):
    tokenizer = tiny.tokenizer()
    parts = [w for text in (LONG, tiny.TEXTS[1], "a") for w in windows(text, tokenizer, 24)]
    assert len(parts) > 8

    def run():
        return score_windows(model, tokenizer, parts, batch_size="auto", progress=quiet)

    expected, before = shapes(model, run)
    assert max(before)[0] == 8
    budget(3 * 64, logits=1)
    nlls, passes = shapes(model, run)
    np.testing.assert_allclose(nlls, expected, atol=1e-4)
    assert sum(rows for rows, _ in passes) == len(parts) and passes[0] == (3, 32)
    # What the last token of a window predicts is not read.
    assert {width for _, width in passes} <= {16, 32}
    assert all(rows * width <= 3 * 32 for rows, width in passes)


def test_widths_on_a_gpu_stay_within_the_context(budget):
    """A model has no position beyond it."""
    tokenizer, short = tiny.tokenizer(), tiny.model(max_position_embeddings=23)
    parts = windows(LONG, tokenizer, 23)
    budget(3 * 64, logits=1)
    nlls, passes = shapes(
        short, lambda: score_windows(short, tokenizer, parts, batch_size="auto", progress=quiet)
    )
    assert {width for _, width in passes} <= {16, 23}
    expected = score_windows(short, tokenizer, parts, batch_size=1, progress=quiet)
    np.testing.assert_allclose(nlls, expected, atol=1e-4)


def test_prompts_fill_a_budget_of_tokens(model, budget):
    tokenizer = tiny.tokenizer()
    options = {"max_length": 64, "batch_size": "auto", "progress": quiet}
    prompts = [*PROMPTS, *(prompt[-20:] for prompt in PROMPTS * 3)]
    expected = score_completions(model, tokenizer, prompts, NESTED, **options)
    budget(5 * 64, logits=0)
    scores, passes = shapes(
        model, lambda: score_completions(model, tokenizer, prompts, NESTED, **options)
    )
    np.testing.assert_allclose(both(scores), both(expected), atol=1e-4)
    assert sum(rows for rows, _ in passes) == len(prompts) and len(passes) > 1
    # Prompts and labels, in widths that are few.
    assert {width for _, width in passes} <= {16, 32, 48, 64}
    by_width = sorted(passes, key=lambda shape: shape[1])
    # Shorter ones, more of them.
    assert by_width[0][0] > by_width[-1][0]


@pytest.mark.parametrize("allowed", [["reads_label_trees"], ["shares_cache"], []])
def test_labels_score_the_same_behind_any_padding(model, allowed, monkeypatch):
    tokenizer = tiny.tokenizer()
    monkeypatch.setattr(label_passes, "ask", lambda model, asked: asked.__name__ in allowed)
    rows = [bos_ids(tokenizer) + ids[:20] for ids in text_ids(PROMPTS, tokenizer)]
    ends = [[*ids, tokenizer.eos_token_id] for ids in continuation_ids(NESTED, tokenizer)]
    reader = label_passes.LabelReader(model, ends, pad_id(tokenizer))
    (batch,) = reader.batches(rows, batches.BatchRule(9, batches.each_alike, "set"))
    expected = reader.scores(rows, batch.width)
    padded, passes = shapes(model, lambda: reader.scores(rows, batch.width + 7))
    np.testing.assert_allclose(padded, expected, atol=1e-4)
    if allowed == ["reads_label_trees"]:
        assert passes == [(len(rows), batch.width + 7)]


def test_memory_that_runs_out_halves_what_a_batch_keeps(model, budget, monkeypatch):
    tokenizer, sizes = tiny.tokenizer(), []
    budget(8 * 64, logits=1)
    score = likelihood._score

    def full(model, parts, made, *rest):
        sizes.append(max(len(batch.indices) * batch.width for batch in made))
        if len(sizes) < 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return score(model, parts, made, *rest)

    monkeypatch.setattr(likelihood, "_score", full)
    terminal = SimpleNamespace(say=quiet, progress=quiet)
    scored = evaluate(
        model, tokenizer, passages(LONG), text_settings(batch_size="auto"), "test", terminal
    )
    assert scored.figures["batch_size_used"] == 2 and scored.figures["batch_size_from"] == "budget"
    assert sizes == [8 * 32, 4 * 32, 2 * 32]
    parts = windows(LONG, tokenizer, 24)
    expected = score_windows(model, tokenizer, parts, batch_size=1, progress=quiet)
    np.testing.assert_allclose(scored.table["nll"], expected, atol=1e-4)


# ---------------------------------------------------------------- choosing


def log_likelihoods(ended, label=None, nested=None):
    ended = np.array(ended)
    label = ended if label is None else np.array(label)
    return LabelScores(ended, label, np.array(nested or [False] * ended.shape[1]))


def test_calibration_divides_by_the_bias_of_prompts_without_content():
    texts = pd.DataFrame({"id": [4, 7], "text": ["x", "y"], "label": ["a", "b"], "prompt": "p"})
    scores = log_likelihoods(np.log([[0.6, 0.3], [0.5, 0.1]]))
    empty = log_likelihoods(np.log([[0.5, 0.1], [0.3, 0.1]]))  # mean 0.4 and 0.1
    chosen = choose(texts, scores, empty, ["a", "b"])
    assert list(chosen.columns) == [
        "id",
        "text",
        "label",
        "predicted",
        "predicted_calibrated",
        "logprobs",
        "logprobs_label",
        "label_mass",
        "label_mass_without_end",
    ]
    assert chosen["predicted"].tolist() == ["a", "a"]
    # 0.6/0.4 against 0.3/0.1, and 0.5/0.4 against 0.1/0.1.
    assert chosen["predicted_calibrated"].tolist() == ["b", "a"]
    np.testing.assert_allclose(np.stack(chosen["logprobs"]), scores.ended)


def test_calibration_of_a_label_that_is_all_but_impossible():
    """A long label can be e^-800 times as likely as a short one; its prior is small, not zero."""
    texts = pd.DataFrame({"id": [1], "text": ["x"], "label": ["a"]})
    scores, empty = log_likelihoods([[-2.0, -990.0]]), log_likelihoods([[-1.0, -900.0]])
    chosen = choose(texts, scores, empty, ["a", "b"])
    assert chosen["predicted_calibrated"].tolist() == ["a"]


def test_the_end_decides_and_an_answer_is_counted_once_in_the_mass():
    """`1` is as likely as all that begins with it; the labels' mass stays a probability."""
    texts = pd.DataFrame({"id": [1], "text": ["x"], "label": ["10"]})
    scores = log_likelihoods(
        np.log([[0.1, 0.6, 0.05]]), np.log([[0.8, 0.7, 0.1]]), [False, True, False]
    )
    chosen = choose(texts, scores, scores, ["1", "10", "2"])
    assert chosen["predicted"].tolist() == ["10"]
    assert chosen["label_mass"].tolist() == pytest.approx([0.75])
    assert chosen["label_mass_without_end"].tolist() == pytest.approx([0.9])
    np.testing.assert_allclose(np.exp(np.stack(chosen["logprobs_label"])), [[0.8, 0.7, 0.1]])


def test_the_mass_is_that_of_all_answers_that_are_labels(model, tokenizer):
    """Of one forward pass: the share of the next tokens that begin a label."""
    labels = ["B", "C", "Bad", "Bed"]
    scores = score_completions(
        model, tokenizer, PROMPTS, labels, max_length=64, batch_size=2, progress=quiet
    )
    assert scores.nested.tolist() == [False, False, True, True]
    questions = pd.DataFrame({"id": range(4), "text": PROMPTS, "label": "B"})
    chosen = choose(questions, scores, scores, labels)
    firsts = [ids[0] for ids in continuation_ids(["B", "C"], tokenizer)]
    for prompt, mass in zip(PROMPTS, chosen["label_mass_without_end"], strict=True):
        ids = bos_ids(tokenizer) + text_ids([prompt], tokenizer)[0]
        last = tiny.log_probabilities(model, [*ids, 0])[-1]
        assert mass == pytest.approx(last[firsts].exp().sum().item(), rel=1e-4)
    assert (chosen["label_mass"] <= chosen["label_mass_without_end"] + 1e-9).all()


# ---------------------------------------------------------------- as a stage


def text_settings(batch_size):
    return TextSettings(
        **{"task": "book", "kind": "prose", "quantization": "none", "batch_size": batch_size},
        **{"weights": "auto", "context": 24, "windows": "sliding"},
    )


def passages(*texts: str) -> list[Passage]:
    return [Passage(f"chapter {n}", "chapters", text, n) for n, text in enumerate(texts)]


def test_texts_are_scored_by_windows_and_what_cannot_be_is_counted(model):
    messages = []
    terminal = SimpleNamespace(say=messages.append, progress=quiet)
    chosen = text_settings(batch_size=2)
    without = tiny.without_bos()
    one = next(text for text in "abc" if len(text_ids([text], without)[0]) == 1)
    scored = evaluate(model, without, passages(LONG, one, tiny.TEXTS[1]), chosen, "test", terminal)
    parts = [*windows(LONG, without, 24), *windows(tiny.TEXTS[1], without, 24)]
    assert scored.table["cluster"].tolist() == sorted(scored.table["cluster"])
    assert set(scored.table["cluster"]) == {"chapter 0", "chapter 2"}
    nll = score_windows(model, without, parts, batch_size=2, progress=quiet)
    read = sorted((len(part.ids) - 1 for part in parts), reverse=True)
    computed = sum(width * len(read[n : n + 2]) for n, width in enumerate(read) if n % 2 == 0)
    assert scored.table["nll"].tolist() == nll.tolist()
    assert scored.figures == {
        **{
            "batch_size_used": 2,
            "batch_size_from": "set",
            "padding_share": round(1 - sum(read) / computed, 4),
            "windows": len(parts),
            "texts": 3,
            "unscored_texts": 1,
        },
        "tokens": sum(part.scored for part in parts),
        "bytes": sum(part.bytes for part in parts),
    }
    assert len(messages) == 1 and "1 of 3 texts" in messages[0]
    with pytest.raises(UserError, match=r"tasks\.book: no text of the test split"):
        evaluate(model, without, passages(one), chosen, "test", terminal)


def test_memory_that_runs_out_is_no_answer_of_a_model(monkeypatch):
    """Else a model would be refused, or its labels scored in another way, for want of memory."""
    model = tiny.model()

    def full(*arguments, **options):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(label_passes, "with_shared_cache", full)
    monkeypatch.setattr(label_tree, "log_likelihoods", full)
    monkeypatch.setattr(probes, "_answer", full)
    for question in (label_passes.reads_label_trees, label_passes.shares_cache, probes.can_answer):
        with pytest.raises(torch.cuda.OutOfMemoryError):
            question(model)
