"""What a person sees of base and tuned is what evaluation sees of them."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from deltatune.ask import session
from deltatune.core import label_file
from deltatune.core.errors import UserError
from deltatune.evaluate.generate import answer
from deltatune.evaluate.label_likelihood import score_completions
from deltatune.models.device import Compute
from deltatune.models.load import load_base, load_system
from deltatune.tokens.tokenizer import load_tokenizer
from deltatune.workflow.flow import Flow
from peft import LoraConfig, get_peft_model
from stage_settings import token_settings

CPU = Compute("cpu", torch.float32, "a test")
TASKS = {
    "instruct": {"prompt": "alpaca_short"},
    "prose": {},
    "classify": {"prompt": "{text}\n\nCategory:", "labels": ["a", "b c", "d"]},
}
QUESTION = "Name a river."


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("ask")
    base = tiny.saved(root / "model", max_position_embeddings=128)
    torch.manual_seed(3)
    tuned = get_peft_model(
        load_base(base, "none", CPU),
        LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear"),
    )
    for name, weight in tuned.named_parameters():
        if "lora_" in name:
            weight.data.normal_(0, 0.3)
    tuned.save_pretrained(root / "adapter")
    return base, root / "adapter"


@pytest.fixture(scope="module")
def pairs(folders) -> dict[str, session.Pair]:
    """Kind -> base and tuned; one model for all."""
    base, adapter = folders
    model = load_system(base, "nf4", CPU, adapter)
    tokenizer = load_tokenizer(base)
    return {
        kind: session.Pair(
            model,
            tokenizer,
            session.Subject(
                *("e", 1, base, adapter, "nf4"),
                token_settings(kind, max_length=64, **TASKS[kind]),
                longest=12,
            ),
        )
        for kind in TASKS
    }


@pytest.fixture(scope="module")
def systems(folders):
    """Base and tuned as an evaluation loads them, each by itself."""
    base, adapter = folders
    return {
        "base": load_system(base, "nf4", CPU),
        "tuned": load_system(base, "nf4", CPU, adapter),
    }


def read(pieces) -> tuple[str, session.End]:
    *texts, last = pieces
    return "".join(texts), last


# ---------------------------------------------------------------- prompts


def test_a_question_is_rendered_as_in_training(pairs):
    instruct = pairs["instruct"].subject
    record = {"instruction": QUESTION, "input": "", "output": "x"}
    expected = instruct.kind.document(record, instruct.tokens.prompts).prompt
    assert session.prompt(instruct, f" {QUESTION}\n") == expected
    with_input = session.prompt(instruct, QUESTION, "In Europe.")
    assert "### Input:\nIn Europe.\n" in with_input


def test_a_chat_is_rendered_as_in_training(pairs):
    asked = token_settings("instruct", chat={"system": "Be kind"})
    chat = replace(pairs["instruct"].subject, tokens=asked)
    assert session.prompt(chat, QUESTION) == (("system", "Be kind"), ("user", QUESTION))


def test_a_conversation_begins_with_the_question(pairs):
    asked = token_settings("chat", system="Be kind")
    subject = replace(pairs["instruct"].subject, tokens=asked)
    prompt = session.prompt(subject, QUESTION)
    assert [(turn.role, turn.content) for turn in prompt.turns] == [
        ("system", "Be kind"),
        ("user", QUESTION),
    ]
    assert prompt.is_prompt
    with pytest.raises(UserError, match="takes no input"):
        session.prompt(subject, QUESTION, "In Europe.")


def test_prose_is_continued_as_it_stands(pairs):
    assert session.prompt(pairs["prose"].subject, "I have made a ") == "I have made a "


def test_a_text_is_asked_for_its_label(pairs):
    assert session.prompt(pairs["classify"].subject, "Prices fell") == "Prices fell\n\nCategory:"


@pytest.mark.parametrize("kind", ["prose", "classify"])
def test_an_input_where_there_is_none_is_refused(pairs, kind):
    with pytest.raises(UserError, match="takes no input"):
        session.prompt(pairs[kind].subject, "a", "b")


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("kind", ["instruct", "prose"])
def test_streamed_answers_are_those_of_the_evaluation(pairs, systems, kind):
    pair = pairs[kind]
    prompt = session.prompt(pair.subject, QUESTION)
    texts = {}
    for side in ("tuned", "base", "tuned", "base"):  # switched on and off
        text, end = read(pair.answer(side, prompt, 12))
        (expected,) = answer(
            systems[side], tiny.tokenizer(), [prompt], max_new_tokens=12, batch_size=1
        )
        assert text == expected.text
        assert end.tokens == expected.tokens
        assert (end.why == "finished") == expected.finished
        texts[side] = text
    assert texts["base"] != texts["tuned"]


def test_an_answer_comes_in_pieces(pairs):
    pieces = list(pairs["prose"].answer("base", "The river ", 30))
    assert len(pieces) > 5


def test_a_prompt_beyond_the_context_is_cut_as_in_the_evaluation(pairs, systems):
    prompt = "the river had risen " * 60
    text, end = read(pairs["prose"].answer("base", prompt, 12))
    (expected,) = answer(
        systems["base"], tiny.tokenizer(), [prompt], max_new_tokens=12, batch_size=1
    )
    assert text == expected.text
    assert end.prompt_cut == expected.cut > 0
    assert "first" in str(end)


def test_an_answer_can_be_stopped(pairs):
    stop = threading.Event()
    answered = pairs["prose"].answer("base", "The river ", 100, stop)
    next(answered)
    stop.set()
    end = list(answered)[-1]
    assert end.why == "stopped" and end.tokens < 60
    assert "stopped" in str(end)


def test_an_answer_that_nobody_reads_leaves_the_switch_as_it_was(pairs, systems):
    pair = pairs["prose"]
    abandoned = pair.answer("base", "The river ", 100)
    next(abandoned)
    abandoned.close()
    text, _ = read(pair.answer("tuned", "The river ", 12))
    (expected,) = answer(
        systems["tuned"], tiny.tokenizer(), ["The river "], max_new_tokens=12, batch_size=1
    )
    assert text == expected.text


def test_a_failure_while_answering_is_raised_and_not_waited_for(pairs, monkeypatch):
    pair = pairs["prose"]

    def fail(**arguments):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(pair._model, "generate", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        list(pair.answer("base", "The river ", 5))


def test_an_unknown_side_is_a_mistake(pairs):
    with pytest.raises(ValueError, match="base or tuned"):
        list(pairs["prose"].answer("both", "a", 1))


def test_labels_are_those_of_the_evaluation(pairs, systems):
    pair = pairs["classify"]
    prompt = session.prompt(pair.subject, "Prices fell")
    log_likelihoods = pair.labels(prompt)
    for side, system in systems.items():
        expected = score_completions(
            system,
            tiny.tokenizer(),
            [prompt],
            [" a", " b c", " d"],
            max_length=64,
            batch_size=1,
            progress=lambda text: None,
        ).ended[0]
        np.testing.assert_allclose(log_likelihoods[side], expected, atol=1e-9)
    assert np.abs(log_likelihoods["base"] - log_likelihoods["tuned"]).max() > 0.01
    rows = session.label_table(pair, prompt)
    assert [name for name, _, _ in rows] == ["a", "b c", "d"]
    for side in (1, 2):
        assert sum(row[side] for row in rows) == pytest.approx(1)
    best = max(rows, key=lambda row: row[1])[0]
    assert best == ["a", "b c", "d"][int(log_likelihoods["base"].argmax())]


# ---------------------------------------------------------------- what is there


@pytest.fixture
def flow(default_config, tmp_path, monkeypatch) -> Flow:
    monkeypatch.chdir(tmp_path)
    return Flow(default_config)


def made(experiment: str, seed: int, settings: dict) -> None:
    """The files of a finished training, empty."""
    folder = Path(f"results/experiments/{experiment}/seed-{seed}")
    folder.mkdir(parents=True)
    (folder / "adapter.sha256").touch()
    (folder / "manifest.json").write_text(json.dumps({"settings": settings}))
    model = Path("results/models/tiny-mistral/model")
    model.mkdir(parents=True, exist_ok=True)
    (model / "config.json").touch()
    task = Path("results/tasks/news/labels.json")
    task.parent.mkdir(parents=True, exist_ok=True)
    label_file.write(task, ["World", "Sports"])


def test_results_are_found(flow):
    made("news-qlora", 2, flow.params.training("news-qlora", "2"))
    subject = session.find(flow, "news-qlora", 2, "snakemake")
    assert subject.adapter == Path("results/experiments/news-qlora/seed-2/adapter")
    assert subject.model == Path("results/models/tiny-mistral/model")
    assert (subject.quantization, subject.note) == ("nf4", "")
    assert subject.tokens.prompts.labels == ["World", "Sports"], "those of the split"


def test_the_first_seed_is_the_default(flow):
    made("prose-qlora", 1, {})
    assert session.find(flow, "prose-qlora", None, "snakemake").seed == 1


def test_what_is_missing_is_named_with_the_command_that_makes_it(flow):
    with pytest.raises(UserError) as error:
        session.find(flow, "prose-qlora", None, "snakemake --cores 1 --configfile x.yaml")
    assert (
        "snakemake --cores 1 --configfile x.yaml "
        "results/experiments/prose-qlora/seed-1/adapter.sha256" in str(error.value)
    )
    made("prose-qlora", 2, {})
    with pytest.raises(UserError, match="there is seed 2"):
        session.find(flow, "prose-qlora", None, "snakemake")


def test_an_unknown_experiment(flow):
    with pytest.raises(UserError, match="did you mean 'prose-qlora'"):
        session.find(flow, "prose-qlor", None, "snakemake")


def test_settings_that_changed_since_are_noticed(flow):
    made("news-qlora", 1, flow.params.training("news-qlora", "1") | {"quantization": "none"})
    assert "other settings" in session.find(flow, "news-qlora", 1, "snakemake").note


def test_tuned_biases_are_noticed(flow):
    settings = flow.params.training("news-qlora", "1")
    made("news-qlora", 1, settings | {"lora": {**settings["lora"], "bias": "all"}})
    assert "not quite the base" in session.find(flow, "news-qlora", 1, "snakemake").note
