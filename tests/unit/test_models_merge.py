"""A merged model answers as the adapter on its quantized base did, and says how nearly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from deltatune.core.errors import UserError
from deltatune.models import merge
from deltatune.models.device import Compute
from deltatune.models.divergence import divergence, log_probabilities
from deltatune.models.load import load_base, load_system
from deltatune.tasks import classify, instruct, prose
from deltatune.tokens.tokenizer import load_tokenizer
from peft import PeftModel
from stage_settings import token_settings
from transformers import AutoModelForCausalLM, AutoTokenizer

CPU = Compute("cpu", torch.float32, "a test")
TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}"
TASK = token_settings("instruct", prompt="alpaca_short", max_length=64)
RECORDS = [{"instruction": t[:20], "input": "", "output": t[20:]} for t in tiny.TEXTS]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    folder = tiny.saved(tmp_path_factory.mktemp("base") / "model", spread=0.1)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory) -> Path:
    return tiny.adapter(tmp_path_factory.mktemp("tuned") / "adapter", base)


@pytest.fixture(scope="module")
def pieces(base) -> list[np.ndarray]:
    return merge.sample(RECORDS, instruct, TASK, load_tokenizer(base))


def evaluated(base, quantization, tuned, pieces) -> list[torch.Tensor]:
    return list(log_probabilities(load_system(base, quantization, CPU, tuned), pieces))


def compared(before, model, pieces) -> dict:
    return merge.judged(divergence(before, model, pieces, lambda text: None))


TIED = {
    "head": ({"target_modules": ["lm_head"]}, "nf4"),
    "embeddings": ({"target_modules": ["embed_tokens"]}, "none"),
    "both": ({"target_modules": ["lm_head", "embed_tokens", "q_proj"]}, "none"),
    "the whole head": ({"modules_to_save": ["lm_head"]}, "none"),
    "the whole embeddings": ({"modules_to_save": ["embed_tokens"]}, "nf4"),
    "neither": ({}, "none"),
}


@pytest.mark.parametrize("name", TIED)
def test_a_tied_base_with_an_adapted_head_or_embeddings_is_merged_as_it_was_evaluated(
    pieces, tmp_path, name
):
    """Both are one weight; the sum changed both, by 2 to 8 nats per token, and a head that was
    trained as a whole was left out of the file."""
    lora, quantization = TIED[name]
    base = tiny.saved(tmp_path / "base", spread=0.1, tie_word_embeddings=True)
    tuned = tiny.adapter(tmp_path / "adapter", base, **lora)
    before = evaluated(base, quantization, tuned, pieces)
    merge.save(merge.merge(base, quantization, CPU, tuned), base, tmp_path / "merged")
    plain = merge.load_plain(tmp_path / "merged")
    figures = compared(before, plain, pieces)
    assert figures["kl_mean"] < merge.KL_LIMIT, figures
    assert plain.config.tie_word_embeddings is (name == "neither")
    alone = compared(before, load_base(base, quantization, CPU), pieces)
    assert alone["kl_mean"] > 30 * figures["kl_mean"]


@pytest.mark.parametrize("quantization", ["nf4", "int8", "none"])
def test_a_merged_model_is_what_was_evaluated(base, tuned, pieces, tmp_path, quantization):
    before = evaluated(base, quantization, tuned, pieces)
    merge.save(merge.merge(base, quantization, CPU, tuned), base, tmp_path / "m")
    plain = merge.load_plain(tmp_path / "m")
    figures = compared(before, plain, pieces)
    assert plain.dtype is torch.bfloat16
    assert 0 < figures["kl_mean"] < merge.KL_LIMIT
    assert figures["within_limit"] and figures["same_argmax"] > 0.9
    # The base alone is far away, so the adapter is in it.
    alone = compared(before, load_base(base, quantization, CPU), pieces)
    assert alone["kl_mean"] > 100 * figures["kl_mean"]


def test_merging_into_the_original_weights_is_worse(base, tuned, pieces):
    before = evaluated(base, "nf4", tuned, pieces)
    right = merge.merge(base, "nf4", CPU, tuned)
    wrong = PeftModel.from_pretrained(load_base(base, "none", CPU), tuned)
    far = compared(before, wrong.merge_and_unload(), pieces)
    near = compared(before, right, pieces)
    assert far["kl_mean"] > 20 * near["kl_mean"]
    assert not far["within_limit"]


def test_a_base_that_was_evaluated_before_is_no_obstacle(base, tuned, pieces, tmp_path):
    """The adapter is merged into a base of its own, loaded anew: two merges are the same bytes."""
    for name in ("a", "b"):
        merge.save(merge.merge(base, "nf4", CPU, tuned), base, tmp_path / name)
        evaluated(base, "nf4", tuned, pieces)
    a, b = (tmp_path / name / "model.safetensors" for name in "ab")
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    "lora", [{"use_dora": True}, {"use_rslora": True}, {"modules_to_save": ["lm_head"]}]
)
def test_other_adapters_merge_too(base, pieces, tmp_path, lora):
    folder = tiny.adapter(tmp_path / "adapter", base, **lora)
    before = evaluated(base, "nf4", folder, pieces)
    merged = merge.merge(base, "nf4", CPU, folder)
    assert compared(before, merged, pieces)["within_limit"]


def test_the_folder_is_an_ordinary_one(base, tuned, tmp_path):
    folder = tmp_path / "m"
    merge.save(merge.merge(base, "nf4", CPU, tuned), base, folder)
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "bfloat16"
    assert config["use_cache"] is True
    assert (folder / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == TEMPLATE
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == tiny.tokenizer().eos_token_id
    assert generation["do_sample"] is False
    assert sorted(file.name for file in folder.iterdir()) == [
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ]


def test_the_ends_that_the_base_knows_are_kept(base, tuned, tmp_path):
    import shutil

    folder = shutil.copytree(base, tmp_path / "base")
    settings = {"eos_token_id": [2, 7], "do_sample": True, "repetition_penalty": 1.3}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    merge.save(merge.merge(folder, "none", CPU, tuned), folder, tmp_path / "m")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "m").generation_config
    assert saved.eos_token_id == [2, 7]
    assert not saved.do_sample and saved.repetition_penalty in (None, 1.0)


def test_links_are_followed(base, tuned, tmp_path):
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "model.safetensors.index.json").write_text("{}")
    for file in base.iterdir():
        (linked / file.name).symlink_to(file)
    merge.save(merge.merge(linked, "none", CPU, tuned), linked, tmp_path / "m")
    assert not (tmp_path / "m" / "tokenizer.json").is_symlink()
    assert (tmp_path / "m" / "chat_template.jinja").read_text() == TEMPLATE
    assert not (tmp_path / "m" / "model.safetensors.index.json").exists()


def test_gptq_is_refused_by_name():
    with pytest.raises(UserError, match=r"experiments\.x\.quantization: gptq.*cannot be merged"):
        merge.check("gptq", "experiments.x.quantization")
    with pytest.raises(UserError, match="gptq"):
        merge.merge("nowhere", "gptq", CPU, "nowhere")


def test_an_adapter_that_is_not_a_number_is_refused(base, tmp_path):
    folder = tiny.adapter(tmp_path / "adapter", base, scale=float("inf"))
    with pytest.raises(UserError, match="cannot be merged"):
        merge.merge(base, "none", CPU, folder)


@pytest.mark.parametrize(
    ("computed", "stored"),
    [
        (torch.float32, torch.bfloat16),
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float16),
    ],
)
def test_type_of_the_merged_model(computed, stored):
    assert merge.dtype_for(Compute("cpu", computed, "")) is stored


# ---------------------------------------------------------------- sample and divergence


def test_a_sample_is_what_was_trained_on(base):
    tokenizer = load_tokenizer(base)
    whole = merge.sample(RECORDS, instruct, TASK, tokenizer)
    assert len(whole) == len(RECORDS)
    texts = {tokenizer.decode(ids[1:-1]) for ids in whole}
    expected = [instruct.document(record, TASK.prompts) for record in RECORDS]
    assert texts == {document.prompt + document.completion for document in expected}
    assert all(ids[0] == tokenizer.bos_token_id for ids in whole)
    assert all(ids[-1] == tokenizer.eos_token_id for ids in whole)


@pytest.mark.parametrize("tokens", [1, 7, 60])
def test_a_sample_has_the_tokens_asked_for(base, tokens):
    chosen = merge.sample(RECORDS, instruct, TASK, load_tokenizer(base), tokens)
    assert sum(len(ids) - 1 for ids in chosen) == tokens


def test_a_small_sample_is_spread_over_all_records(base):
    tokenizer = load_tokenizer(base)
    records = [{"text": chr(97 + i) * 3, "label": "x"} for i in range(20)]
    task = token_settings("classify", prompt="{text}:", labels=["x", "y"], max_length=16)
    chosen = merge.sample(records, classify, task, tokenizer, 40)
    numbers = [ord(tokenizer.decode(ids[1:])[0]) - 97 for ids in chosen]
    assert min(numbers) < 5 and max(numbers) > 14 and len(set(numbers)) == len(numbers)


def test_nothing_to_compare_is_said(base):
    records = [{"instruction": "word " * 60, "input": "", "output": "x"}]
    with pytest.raises(UserError, match=r"tasks\.t\.max_length"):
        merge.sample(records, instruct, TASK, load_tokenizer(base))


def test_long_prose_is_cut_as_in_training(base):
    chosen = merge.sample(
        [{"text": " ".join(tiny.TEXTS), "chapter": ""}],
        prose,
        token_settings("prose", max_length=32),
        load_tokenizer(base),
    )
    assert len(chosen) > 1 and max(map(len, chosen)) <= 32


class Fixed:
    """A model that gives the same logits everywhere."""

    device = torch.device("cpu")

    def __init__(self, logits):
        self.logits = torch.tensor(logits)

    def __call__(self, input_ids, use_cache):
        out = self.logits.expand(1, input_ids.shape[1], -1)
        return type("Out", (), {"logits": out})


def test_divergence_by_hand():
    pieces = [np.array([0, 1, 0]), np.array([1, 0])]
    p, q = [0.5, 0.5], [0.25, 0.75]
    reference = list(log_probabilities(Fixed(np.log(p).tolist()), pieces))
    figures = compared(reference, Fixed(np.log(q).tolist()), pieces)
    expected = sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))
    assert figures["kl_mean"] == pytest.approx(expected, rel=1e-6)
    assert figures["kl_max"] == pytest.approx(expected, rel=1e-6)
    assert figures["tokens"] == 3
    assert figures["same_argmax"] == 0
    assert not figures["within_limit"]
    same = compared(reference, Fixed(np.log(p).tolist()), pieces)
    assert same["kl_mean"] == 0 and same["same_argmax"] == 1


def test_impossible_tokens_do_not_spoil_the_mean():
    pieces = [np.array([0, 1])]
    reference = list(log_probabilities(Fixed([0.0, 0.0, -float("inf")]), pieces))
    figures = compared(reference, Fixed([0.0, 0.0, -float("inf")]), pieces)
    assert figures["kl_mean"] == 0


def test_a_large_divergence_is_said_loudly():
    figures = {"kl_mean": 2e-3, "kl_max": 0.1, "tokens": 10, "same_argmax": 0.9}
    loud = merge.verdict({**figures, "within_limit": False}, torch.bfloat16, "nf4")
    assert loud.startswith("WARNING") and "2.0e-03" in loud and "bfloat16" in loud
    assert "activations" in merge.verdict(
        {**figures, "within_limit": False}, torch.bfloat16, "int8"
    )
    calm = merge.verdict({**figures, "within_limit": True}, torch.bfloat16, "nf4")
    assert "WARNING" not in calm


def test_a_model_that_gives_no_numbers_is_refused():
    with pytest.raises(UserError, match="16 bits"):
        merge.refuse_if_broken({"kl_mean": float("nan")})
