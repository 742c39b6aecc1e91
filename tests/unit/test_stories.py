"""A model that somebody else trained: stories260K, a Llama of 260,032 parameters on TinyStories.

Its folder lies beside the project (shared/models/stories260K); without it these tests are skipped.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
import yaml
from conftest import ROOT
from deltatune.config.load import load_settings
from deltatune.core.errors import UserError
from deltatune.evaluate.generate import answer
from deltatune.evaluate.likelihood import score_windows, windows
from deltatune.models import merge
from deltatune.models.device import Compute
from deltatune.models.load import load_base, load_system
from deltatune.models.settings import Lora
from deltatune.tokens.ids import bos_ids, prefix_id
from deltatune.tokens.tokenizer import load_tokenizer
from deltatune.train import lora as adapters

STORIES = ROOT.parent / "shared" / "models" / "stories260K"
CPU = Compute("cpu", torch.float32, "a test")
STORY = (
    "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. "
    "One day, she saw a big, red ball."
)
pytestmark = pytest.mark.skipif(
    not STORIES.is_dir(), reason="shared/models/stories260K is not beside the project"
)


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer(STORIES)


def quiet(text: str) -> None:
    pass


def perplexity(model, tokenizer, text: str) -> float:
    parts = windows(text, tokenizer, 512)
    nll = score_windows(model, tokenizer, parts, batch_size=1, progress=quiet)
    return math.exp(nll.sum() / sum(part.scored for part in parts))


def test_it_tells_a_story_and_expects_one(tokenizer):
    model = load_base(STORIES, "none", CPU)
    assert (bos_ids(tokenizer), prefix_id(tokenizer)) == ([1], 1)
    (story,) = answer(
        *(model, tokenizer, ["Once upon a time, there was a"]),
        max_new_tokens=24,
        batch_size=1,
        progress=quiet,
    )
    assert story.text.strip().startswith("little girl named Lily. She loved to play outside")
    assert perplexity(model, tokenizer, STORY) < 3
    backwards = " ".join(reversed(STORY.split()))
    assert perplexity(model, tokenizer, backwards) > 20


def test_it_is_tuned_merged_and_read_again(tokenizer, tmp_path):
    """A few steps on one sentence make it likelier, and the merged model is as sure of it."""
    sentence = "The ministry said on Monday that prices fell for the third month."
    model = load_base(STORIES, "nf4", CPU)
    before = perplexity(model, tokenizer, sentence)
    model = adapters.with_lora(model, Lora(rank=4, dropout=0), 0, "stories260K")
    ids = torch.tensor([[*bos_ids(tokenizer), *tokenizer(sentence)["input_ids"][1:]]])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    for _ in range(10):
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    adapters.save(model, "stories260K", tmp_path / "adapter")
    tuned = perplexity(load_system(STORIES, "nf4", CPU, tmp_path / "adapter"), tokenizer, sentence)
    assert tuned < before / 3
    merged = merge.merge(STORIES, "nf4", CPU, tmp_path / "adapter")
    merge.save(merged, STORIES, tmp_path / "merged")
    again = perplexity(merge.load_plain(tmp_path / "merged").float(), tokenizer, sentence)
    assert again == pytest.approx(tuned, rel=0.02)


def test_rows_longer_than_its_context_are_refused_at_the_start():
    """They trained without a word, from a loss far above that of a guess."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    config["models"] = {"stories": {"source": "local", "path": str(STORIES)}}
    for experiment in config["experiments"].values():
        experiment["model"] = "stories"
    load_settings(copy.deepcopy(config), ROOT)
    config["tasks"]["news"]["max_length"] = 695
    config["tasks"]["instructions"]["evaluation"]["max_new_tokens"] = 512
    with pytest.raises(UserError) as error:
        load_settings(config, ROOT)
    message = str(error.value)
    assert "tasks.news.max_length: 695 is more than the context of models.stories (512)" in message
    assert "max_new_tokens: 512 leaves no room for a prompt in the context of models" in message
    assert message.count("695") == 1
