"""Records that are longer than a row: cut, left out or refused, and counted in each case."""

import pytest
import tiny
from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import generate, label_likelihood
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.tasks.registry import load_kind
from deltatune.tokens import overflow
from deltatune.tokens.encode import NO_TEXT, TOO_LONG, encode
from deltatune.tokens.prompts import Conversation, Document, Turn
from deltatune.tokens.supervision import unsupervised
from pydantic import ValidationError
from stage_settings import task_settings
from test_tasks_base import FIELDS

LONG = "She wrote three letters to her sister. " * 4
TALK = [Turn("user", "The"), Turn("assistant", "night", learned=True)]
CASES = {
    "instruct": [Document("The", " sea"), Document("The", f" {LONG}")],
    "prose": [Document("", "The sea"), Document("", LONG)],
    "classify": [Document("The", " x"), Document(LONG, " x", (0, len(LONG)))],
    "chat": [Conversation(tuple(TALK)), Conversation((*TALK, Turn("user", LONG), TALK[1]))],
}


@pytest.fixture
def tokenizer():
    made = tiny.tokenizer()
    made.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    yield made
    made.chat_template = None


@pytest.mark.parametrize("kind", sorted(CASES))
def test_a_long_record_is_cut_left_out_or_refused(kind, tokenizer):
    module = load_kind(kind)
    documents = CASES[kind]
    whole = encode(documents[1:], tokenizer, 4096, "truncate")
    length = len(whole.ids[0])
    # One that has exactly the tokens that fit is not too long.
    for way in ("truncate", "drop"):
        shortening = overflow.shortening_of(module.TRUNCATION, way)
        assert not encode(documents, tokenizer, length, shortening).too_long
        encoded = encode(documents, tokenizer, 40, shortening)
        assert encoded.too_long == {1: length} and encoded.documents == 2
        assert encoded.dropped == ([(1, TOO_LONG)] if way == "drop" else [])
        assert encoded.truncated == ([1] if way == "truncate" else [])
        assert len(encoded.ids) == (2 if way == "truncate" else 1)
        assert max(map(len, encoded.ids)) <= 40
    # What is refused is nothing else than what is dropped, see the message below.
    assert overflow.shortening_of(module.TRUNCATION, "refuse") == "drop"


def test_each_kind_takes_its_ways_and_keeps_its_default():
    for kind in sorted(FIELDS):
        default = "split" if kind == "prose" else "truncate"
        assert task_settings(kind, **FIELDS[kind]).overflow == default
        for way in ("truncate", "drop", "refuse"):
            assert task_settings(kind, overflow=way, **FIELDS[kind]).overflow == way
        if kind != "prose":
            with pytest.raises(ValidationError, match="'truncate', 'drop' or 'refuse'"):
                task_settings(kind, overflow="split", **FIELDS[kind])


def test_what_is_refused_is_named_with_its_row_and_length():
    too_long = {number: 600 + number for number in range(7)}
    with pytest.raises(UserError) as error:
        overflow.refuse(too_long, [*range(11, 21)], "tasks.t: train", "max_length (512 tokens)")
    assert str(error.value).startswith(
        "tasks.t: train: 7 of 10 records are longer than max_length (512 tokens): row 11 (600 "
        "tokens), row 12 (601 tokens)"
    )
    assert "and 2 more; the longest has 606 tokens" in str(error.value)
    overflow.refuse({}, [1], "tasks.t: train", "max_length")


def test_what_is_left_out_stands_in_a_table_with_its_reason_and_length(tokenizer):
    encoded = encode([*CASES["prose"], Document("", "")], tokenizer, 40, "drop")
    table = overflow.excluded(unsupervised(encoded), [7, 8, 9], encoded.too_long)
    assert table["row"].tolist() == [8, 9]
    assert table["code"].tolist() == [TOO_LONG.code, NO_TEXT.code]
    assert table["reason"].tolist() == ["longer than max_length", "the document is empty"]
    assert table["tokens"].tolist()[0] == encoded.too_long[1] and table["tokens"].isna()[1]


# ---------------------------------------------------------------- evaluation


def asked(kind: str, refuses: bool):
    """(questions about a short text and a long one, settings)."""
    import pandas as pd

    module = load_kind(kind)
    field = {"instruct": "instruction", "classify": "text"}[kind]
    test = pd.DataFrame({"id": [4, 9], field: ["The", LONG], "input": "", "output": "night"})
    test["label"] = "x"
    keys = {"prompt": "{text}:", "labels": ["x", "y"]} if kind == "classify" else {}
    task = task_settings(kind, max_length=32, **keys)
    prompts, questions = module.Prompts.part_of(task), module.Questions.part_of(task.evaluation)
    if kind == "classify":
        prompts = module.with_labels(prompts, ["x", "y"])
    made = {"generate_answers": GenerateSettings, "score_labels": LabelSettings}
    model = made["score_labels" if kind == "classify" else "generate_answers"]
    names: dict = {"max_length": 32}
    if kind == "instruct":
        names = {"max_new_tokens": 8, "sampling": None, "backend": "transformers"}
    settings = model[type(prompts), module.Questions](
        **{"task": "t", "kind": kind, "quantization": "none", "weights": "quantized"},
        **{
            "batch_size": 2,
            "prompts": prompts,
            "questions": questions,
            "refuses_long_prompts": refuses,
        },
        **names,
    )
    return module, module.questions(test, prompts, questions), settings


@pytest.mark.parametrize("kind", ["instruct", "classify"])
def test_prompts_that_are_too_long_are_counted_or_refused(kind):
    def run(refuses: bool):
        module, questions, settings = asked(kind, refuses)
        terminal = Terminal(1, "test")
        if kind == "instruct":
            questions["prompt"] = ["The", LONG]
            return generate.evaluate(model, tiny.tokenizer(), questions, settings, terminal)
        return label_likelihood.evaluate(
            model, tiny.tokenizer(), module, questions, settings, terminal
        )

    model = tiny.model(max_position_embeddings=48)
    made = run(refuses=False)
    assert made.figures["prompts_cut"] == 1 and len(made.table) == 2
    with pytest.raises(UserError, match=r"tasks\.t: prompts: 1 of 2 records .*row 9 \(\d+ tokens"):
        run(refuses=True)
