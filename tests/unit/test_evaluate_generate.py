import json
from collections import Counter
from types import SimpleNamespace

import pandas as pd
import pytest
import tiny
import tokenizers
import torch
from deltatune.ask.upstream import PieceStreamer
from deltatune.evaluate import batches, generate
from deltatune.evaluate.batches import batches_by_length
from deltatune.evaluate.generate import answer
from deltatune.evaluate.sampling import SeededSampling
from deltatune.models.device import Compute
from deltatune.models.load import load_base
from deltatune.tasks.base import Sampling
from deltatune.tokens.answer_ids import DECODING
from deltatune.tokens.ids import bos_ids, text_ids
from deltatune.tokens.tokenizer import load_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

PROMPTS = [
    "The",
    "She wrote three letters to her sister",
    "Prices fell",
    "A lantern, a ladder and a locked door:",
    "Name a river. The Danube flows into the Black Sea",
    "the night",
    "2850 kilometers",
]
NEW = 10


@pytest.fixture(scope="module")
def model():
    return tiny.model()


@torch.inference_mode()
def greedy(model, ids: list[int], count: int, eos: int) -> tuple[list[int], bool]:
    """Greedy decoding in its plainest form: whole rows, no cache, no padding."""
    made: list[int] = []
    for _ in range(count):
        logits = model(input_ids=torch.tensor([ids + made]), use_cache=False).logits
        token = int(logits[0, -1].argmax())
        if token == eos:
            return made, True
        made.append(token)
    return made, False


def ask(model, tokenizer, prompts=PROMPTS, batch_size=3, max_new_tokens=NEW):
    return answer(
        model,
        tokenizer,
        prompts,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        progress=lambda text: None,
    )


@pytest.fixture(scope="module")
def ending(model):
    """A tokenizer whose eos is a token that this model generates in some answers, not in others."""
    plain = tiny.tokenizer()
    rows = [bos_ids(plain) + ids for ids in text_ids(PROMPTS, plain)]
    answers = [greedy(model, row, NEW, eos=-1)[0] for row in rows]
    inner = {token for tokens in answers for token in tokens[1:]}
    some = next(
        t for t in sorted(inner) if 0 < sum(t in tokens for tokens in answers) < len(answers)
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=plain.backend_tokenizer,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token=plain.convert_ids_to_tokens(some),
        pad_token="<unk>",
        add_bos_token=True,
    )


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_answers_in_batches_are_those_one_by_one_in_the_order_of_the_prompts(
    model, ending, batch_size
):
    answers = ask(model, ending, batch_size=batch_size)
    finished = set()
    for prompt, given_ in zip(PROMPTS, answers, strict=True):
        ids = bos_ids(ending) + text_ids([prompt], ending)[0]
        made, ended = greedy(model, ids, NEW, ending.eos_token_id)
        assert given_.text == ending.decode(made, skip_special_tokens=True)
        assert (given_.tokens, given_.finished, given_.cut) == (len(made), ended, 0)
        finished.add(ended)
    assert finished == {True, False}


@pytest.mark.parametrize("make", [tiny.without_bos, tiny.naming_bos])
def test_without_a_bos(model, make):
    tokenizer = make()
    for prompt, given_ in zip(PROMPTS, ask(model, tokenizer), strict=True):
        made, _ = greedy(model, text_ids([prompt], tokenizer)[0], NEW, tokenizer.eos_token_id)
        assert given_.text == tokenizer.decode(made, skip_special_tokens=True)


@pytest.mark.parametrize("max_new_tokens", [10, 62, 63, 64, 500])
def test_a_prompt_longer_than_the_context_loses_its_beginning(model, max_new_tokens):
    """64 tokens of context: however much is asked for, a token of the prompt stays and the rest of
    the context is for the answer."""
    tokenizer = tiny.tokenizer()
    long = " ".join(tiny.TEXTS)
    ids = text_ids([long], tokenizer)[0]
    kept = max(1, 64 - max_new_tokens - 1)
    new = min(max_new_tokens, 64 - 1 - kept)
    truncated, short = ask(model, tokenizer, [long, "The"], max_new_tokens=max_new_tokens)
    made, _ = greedy(model, bos_ids(tokenizer) + ids[-kept:], new, tokenizer.eos_token_id)
    assert truncated.cut == len(ids) - kept
    assert truncated.tokens == len(made)
    assert truncated.text == tokenizer.decode(made, skip_special_tokens=True)
    assert short.cut == 0
    # How long an answer may be does not depend on what it shares a batch with.
    assert ask(model, tokenizer, ["The"], max_new_tokens=max_new_tokens) == [short]


def test_a_model_s_own_generation_settings_do_not_count(tmp_path):
    """Published models bring a generation_config with a temperature or a repetition penalty; a
    base and what is tuned from it are both decoded greedily and nothing else."""
    folder = tiny.saved(tmp_path / "model")
    machine = Compute("cpu", torch.float32, "a test")
    plain = ask(tiny.model(), tiny.tokenizer())
    settings = {
        "do_sample": True,
        "temperature": 0.1,
        "repetition_penalty": 9.0,
        "no_repeat_ngram_size": 2,
        "min_new_tokens": 5,
        "max_length": 20,
        "suppress_tokens": list(range(50, 350)),
    }
    (folder / "generation_config.json").write_text(json.dumps(settings))
    model = load_base(folder, "none", machine)
    assert ask(model, load_tokenizer(folder)) == plain


def test_an_answer_keeps_its_spaces():
    """Some tokenizers that are not BPE would decode " ," as "," and "do n't" as "don't"."""
    text = 'a , b . do n\'t " c " !'
    pieces = [(one, 0.0) for one in ("<unk>", "</s>", "▁", *sorted({*text} - {" "}))]
    unigram = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=0))
    unigram.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    unigram.decoder = tokenizers.decoders.Metaspace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=unigram,
        **{"unk_token": "<unk>", "eos_token": "</s>", "clean_up_tokenization_spaces": True},
    )
    (ids,) = text_ids([text], tokenizer)
    assert tokenizer.decode(ids) != text

    def tokens(*given, **named):
        return torch.tensor([[*ids, tokenizer.eos_token_id]])

    options = {"max_new_tokens": 40, "batch_size": 1, "progress": lambda text: None}
    decoder = SimpleNamespace(tokens=tokens)
    (given,) = answer(tiny.model(), tokenizer, ["a"], decoder=decoder, **options)
    assert given.text == text
    # As it is shown while it is made.
    streamer = PieceStreamer(tokenizer, **DECODING)
    for one in ids:
        streamer.put(torch.tensor([one]))
    assert "".join(streamer.text_queue.queue) == text


def test_text_that_looks_like_the_end_is_text(model):
    tokenizer = tiny.tokenizer()
    prompt = "The river </s> had"
    (result,) = ask(model, tokenizer, [prompt])
    ids = bos_ids(tokenizer) + text_ids([prompt], tokenizer)[0]
    assert tokenizer.eos_token_id not in ids
    assert result.tokens == len(greedy(model, ids, NEW, tokenizer.eos_token_id)[0])


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 9))
def test_batches_hold_each_prompt_once_longest_first(lengths, size):
    batches = batches_by_length(lengths, size)
    order = [i for batch in batches for i in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batch for batch in batches)


def test_base_and_tuned_get_the_same_batches():
    """They are made from the prompts, whatever the model answers."""
    tokenizer = tiny.tokenizer()
    seen = []
    for seed in (0, 1):
        model = tiny.model(seed)
        shapes: list = []
        real = model.generate

        def generate(*, real=real, shapes=shapes, **arguments):
            shapes.append(arguments["input_ids"].tolist())
            return real(**arguments)

        model.generate = generate
        ask(model, tokenizer)
        seen.append(shapes)
    assert seen[0] == seen[1]
    assert len(seen[0]) == 3


def test_auto_is_a_budget_on_a_gpu_and_a_number_without(model, monkeypatch):
    """As if there were one: few shapes, in any of which the answers are the same."""
    questions = pd.DataFrame({"id": range(len(PROMPTS)), "prompt": PROMPTS})
    terminal = SimpleNamespace(say=print, progress=lambda text: None)
    unlike = {"refuses_long_prompts": False, "sampling": None, "max_new_tokens": NEW}

    def evaluate(batch_size):
        task = SimpleNamespace(task="t", batch_size=batch_size, **unlike)
        made = generate.evaluate(model, tiny.tokenizer(), questions, task, terminal)
        names = ("batch_size_used", "batch_size_from", "batch_shapes")
        return made.table, tuple(made.figures[name] for name in names)

    table, (size, source, shapes) = evaluate("auto")
    assert (size, source, sum(shapes.values())) == (32, "no_gpu", 1)
    monkeypatch.setattr(generate, "_on_gpu", lambda model: True)
    row = batches.cache_bytes(model.config) * 64  # all of the context, by which widths are bounded
    monkeypatch.setattr(batches, "BUDGET", 3 * row + 1)
    budgeted, facts = evaluate("auto")
    assert facts == (3, "budget", {f"3x{64 - NEW}": 2, f"1x{64 - NEW}": 1})
    fixed, facts = evaluate(5)
    assert facts == (5, "set", {f"5x{64 - NEW}": 1, f"2x{64 - NEW}": 1})
    pd.testing.assert_frame_equal(budgeted, table)
    pd.testing.assert_frame_equal(fixed, table)


def test_an_empty_prompt_without_bos_begins_behind_the_end_of_another_document():
    tokenizer = tiny.without_bos()
    answers = answer(
        tiny.model(),
        tokenizer,
        ["", "The river"],
        max_new_tokens=4,
        batch_size=1,
        progress=lambda _: None,
    )
    assert len(answers) == 2 and all(each.cut == 0 for each in answers)


# ---------------------------------------------------------------- sampling


def draw(model, batch_size=3, order=slice(None), **settings):
    """Record -> its answer. order: of the prompts."""
    keys = [*range(len(PROMPTS))][order]
    answers = answer(
        *(model, tiny.tokenizer(), PROMPTS[order]),
        **{"max_new_tokens": NEW, "batch_size": batch_size, "progress": lambda text: None},
        **{"sampling": Sampling(**settings), "keys": keys},
    )
    return dict(zip(keys, [each.text for each in answers], strict=True))


def test_a_drawn_answer_depends_on_seed_and_record_alone(model):
    drawn = draw(model, temperature=2.0, seed=1)
    assert drawn == draw(model, 1, temperature=2.0, seed=1)
    assert drawn == draw(model, 7, slice(None, None, -1), temperature=2.0, seed=1)
    other = draw(model, temperature=2.0, seed=2)
    assert all(drawn[key] != other[key] for key in drawn if drawn[key])
    greedily = [each.text for each in ask(model, tiny.tokenizer())]
    assert [*draw(model, top_k=1, seed=1).values()] == greedily != [*drawn.values()]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.5, 0.3, 0.15, 0.05]),
        ({"temperature": 0.5}, [0.685, 0.247, 0.062, 0.007]),
        ({"top_k": 2}, [0.625, 0.375, 0, 0]),
        ({"top_p": 0.9}, [0.526, 0.316, 0.158, 0]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_likely(settings, expected):
    """Over 4,000 records; five standard errors of a share are 0.04 at most."""
    draws, scores = 4000, torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
    sampler = SeededSampling(Sampling(**settings), range(draws), prompt_length=2)
    for step in range(2):
        ids = torch.zeros((draws, 2 + step), dtype=torch.long)
        drawn = sampler(ids, scores.repeat(draws, 1)).argmax(1).tolist()
        shares = [Counter(drawn)[token] / draws for token in range(4)]
        assert shares == pytest.approx(expected, abs=0.04)
        assert all(share == 0 for share, part in zip(shares, expected, strict=True) if not part)
