"""Prompts of one's own: asked as each kind of task asks, and shown without a score."""

import pandas as pd
import pytest
import tiny
from deltatune.config.model import Settings
from deltatune.core.terminal import Terminal
from deltatune.evaluate import generate, own_prompts
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.tasks.base import Sampling, labeled
from deltatune.tasks.registry import load_kind
from pydantic import ValidationError
from stage_settings import task_settings

TEXTS = ["Name a river.", "The old bridge\nwas closed"]
KINDS = {
    "instruct": ({"prompt": "alpaca_short"}, "### Instruction:\nName a river."),
    "prose": ({}, "Name a river."),
    "classify": ({"labels": ["x", "y"], "prompt": "{text}\n{labels}:"}, "Name a river.\nx, y:"),
    "chat": ({"system": "Be kind."}, "system: Be kind.\nuser: Name a river.\n"),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_each_kind_asks_them_as_its_own(name):
    keys, expected = KINDS[name]
    kind, task = load_kind(name), task_settings(name, **keys)
    settings = GenerateSettings[kind.Prompts, own_prompts.OwnPrompts](
        **{"task": "t", "kind": name, "quantization": "none", "batch_size": 2},
        **{"max_new_tokens": 4, "sampling": Sampling(top_k=5), "refuses_long_prompts": False},
        **{"weights": "auto", "backend": "transformers"},
        prompts=kind.Prompts.part_of(task),
        questions=own_prompts.OwnPrompts(texts=TEXTS),
    )
    settings = labeled(kind, settings, ["x", "y"])
    questions = own_prompts.questions(settings.questions, kind, settings.prompts)
    tokenizer, model = tiny.tokenizer(), tiny.model(max_position_embeddings=256)
    tokenizer.chat_template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    try:
        table = generate.evaluate(model, tokenizer, questions, settings, Terminal(1, "t")).table
    finally:
        tokenizer.chat_template = None
    assert table["id"].tolist() == [1, 2] and table["text"].tolist() == TEXTS
    assert expected in table["prompt"][0]
    assert isinstance(table, pd.DataFrame) and table["answer_tokens"].between(0, 4).all()


@pytest.mark.parametrize(
    ("prompts", "message"),
    [(["a", " "], "number 2 has no text"), (["a", "b", "a"], "number 3 stands there twice: 'a'")],
)
def test_empty_and_repeated_ones_are_refused(prompts, message):
    with pytest.raises(ValidationError, match=message):
        Settings(datasets={}, models={}, tasks={}, experiments={}, prompts=prompts)
