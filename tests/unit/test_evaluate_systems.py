"""A base with dequantized weights, its adapter merged, says what it says as it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from deltatune.core import evaluated_with
from deltatune.core.errors import UserError
from deltatune.evaluate import outputs, scores, systems, weights
from deltatune.evaluate.decode import Decoder, Steps
from deltatune.evaluate.generate import answer
from deltatune.evaluate.label_likelihood import score_completions
from deltatune.evaluate.likelihood import score_windows, windows
from deltatune.evaluate.likelihood_settings import TextSettings
from deltatune.metrics.settings import MetricsSettings
from deltatune.models import dequantize
from deltatune.models.device import Compute
from deltatune.models.load import load_base, with_adapter
from deltatune.models.lora import compute_as_trained
from deltatune.tasks.base import Sampling
from deltatune.tokens.ids import text_ids
from peft.tuners.lora import LoraLayer

CPU = Compute("cpu", torch.float32, "a test")
PROMPTS = ["Name a river.", "She wrote three letters", "The", "Prices fell for the third month"]
ADAPTERS = {
    "none": None,
    "usual": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "the whole head": {"modules_to_save": ["lm_head"]},
    "the tied head": {"target_modules": ["lm_head", "q_proj"]},
    "the tied embeddings": {"modules_to_save": ["embed_tokens"]},
}


def settings(**changes) -> TextSettings:
    fields = {"task": "t", "kind": "prose", "quantization": "nf4", "batch_size": 2}
    asked = {"weights": "dequantized", "context": 32, "windows": "sliding"}
    return TextSettings(**fields | asked | changes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tiny.saved(tmp_path_factory.mktemp("base") / "model", spread=0.1)


def inputs(base: Path, adapter: Path | None = None) -> SimpleNamespace:
    tuned = {"adapter": f"{adapter}.sha256"} if adapter else {}
    return SimpleNamespace(model=str(base), **tuned)


def loaded(given: SimpleNamespace, **changes) -> systems.System:
    return systems.load(given, settings(**changes), PROMPTS, text_ids)


@pytest.fixture(scope="module")
def pair(folder, tmp_path_factory) -> dict[str, systems.System]:
    """A tuned system as trained, and with its weights dequantized."""
    given = inputs(folder, tiny.adapter(tmp_path_factory.mktemp("tuned") / "adapter", folder))
    return {name: loaded(given, weights=name) for name in ("quantized", "dequantized")}


# ---------------------------------------------------------------- the same model


@torch.inference_mode()
def logits(model) -> torch.Tensor:
    rows = text_ids([*PROMPTS, *tiny.TEXTS], tiny.tokenizer())
    return torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in rows])


@pytest.mark.parametrize("name", ADAPTERS)
def test_dequantized_weights_with_the_adapter_merged_give_the_same_logits(tmp_path, name):
    """In fp32 the numbers that NF4 stands for are exact."""
    base = tiny.saved(tmp_path / "base", spread=0.1, tie_word_embeddings="tied" in name)
    lora = ADAPTERS[name]
    given = inputs(base, None if lora is None else tiny.adapter(tmp_path / "a", base, **lora))
    before = systems.load_as_trained(given, "nf4")[1]
    system = loaded(given)
    expected, got = logits(before), logits(system.model)
    assert expected.std() > 0.1 and (got - expected).abs().max() < 1e-4
    plain = load_base(base, "none", CPU)
    assert [n for n, _ in system.model.named_modules()] == [n for n, _ in plain.named_modules()]
    assert [type(m) for m in system.model.modules()] == [type(m) for m in plain.modules()]
    assert not system.model.training and not any(p.requires_grad for p in system.model.parameters())
    assert lora is None or (logits(load_base(base, "nf4", CPU)) - expected).abs().max() > 0.1
    # The weights that it was quantized from are others.
    assert lora is not None or (logits(plain) - expected).abs().max() > 0.01
    facts = system.facts["weights_divergence"]
    assert facts["kl_mean"] < 1e-8 and facts["same_argmax"] == 1 and facts["tokens"] > 15


def test_int8_is_dequantized_where_that_is_asked_for(folder):
    system = loaded(inputs(folder), quantization="int8")
    assert system.facts["weights_used"] == "dequantized"
    # It rounds what it multiplies too, so that no other weights say quite the same.
    assert 1e-8 < system.facts["weights_divergence"]["kl_mean"] < 1e-2
    assert not system.model.is_loaded_in_8bit


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_sum_is_made_in_fp32_and_rounded_once(folder, pair, tmp_path, dtype):
    adapter = tiny.adapter(tmp_path / "adapter", folder, scale=0.02)
    half = Compute("cpu", dtype, "a test")
    base = dequantize.dequantize(load_base(folder, "nf4", half))
    before = {name: weight.clone() for name, weight in base.state_dict().items()}
    layer = "model.layers.0.mlp.up_proj"
    tuned = with_adapter(load_base(folder, "none", half), adapter)
    delta = tuned.get_submodule(f"base_model.model.{layer}").get_delta_weight("default")
    merged = dequantize.merge_adapter(base, adapter).state_dict()
    assert delta.dtype is torch.float32
    weight, name = before[f"{layer}.weight"], f"{layer}.weight"
    assert torch.equal(merged[name], (weight.float() + delta).to(dtype))
    assert not torch.equal(merged[name], weight + delta.to(dtype))
    assert {weight.dtype for weight in merged.values()} == {dtype}
    # What the adapter does not change is as it was.
    assert torch.equal(merged["lm_head.weight"], before["lm_head.weight"])


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_an_adapter_multiplies_in_16_bits_as_in_training(folder, tmp_path, quantization):
    adapter = tiny.adapter(tmp_path / "adapter", folder)
    half = Compute("cpu", torch.bfloat16, "a test")
    model = with_adapter(load_base(folder, quantization, half), adapter)
    layer = next(module for module in model.modules() if isinstance(module, LoraLayer))
    values = torch.randn(2, 5, layer.in_features, dtype=torch.bfloat16)
    in_fp32 = layer(values)
    with torch.autocast("cpu", torch.bfloat16):
        trained = layer(values)
    compute_as_trained(model)
    assert torch.equal(layer(values), trained) and not torch.equal(trained, in_fp32)


def test_in_fp32_and_under_dora_an_adapter_stays_as_it_is(folder, tmp_path):
    half = Compute("cpu", torch.bfloat16, "a test")
    for dtype, dora in ((torch.float32, False), (torch.bfloat16, True)):
        adapter = tiny.adapter(tmp_path / f"{dora}", folder, use_dora=dora)
        machine = replace(half, dtype=dtype)
        model = with_adapter(load_base(folder, "none", machine), adapter)
        compute_as_trained(model)
        parts = {p.dtype for name, p in model.named_parameters() if "lora_" in name}
        assert parts == {torch.float32}


# ---------------------------------------------------------------- all that is asked of a system


def test_answers_are_the_same_greedy_and_drawn(pair):
    made = {}
    for name, system in pair.items():
        ids = text_ids([PROMPTS[1]], system.tokenizer)
        shape = torch.tensor(ids), torch.ones(1, len(ids[0]), dtype=torch.long)
        constant = Steps(system.model).tokens(*shape, max_new_tokens=8, stops=[], pad=0)
        ways = {"greedy": None, "drawn": Sampling(seed=3)}
        answers = {
            way: answer(
                *(system.model, system.tokenizer, PROMPTS),
                **{"max_new_tokens": 8, "batch_size": 2, "sampling": sampling},
                keys=range(len(PROMPTS)),
                decoder=Decoder(system.model),
                progress=lambda text: None,
            )
            for way, sampling in ways.items()
        }
        made[name] = constant.tolist(), answers
    assert made["quantized"] == made["dequantized"]


def test_labels_and_text_are_as_likely(pair):
    likelihoods = []
    for system in pair.values():
        model, tokenizer = system.model, system.tokenizer
        labels = score_completions(
            *(model, tokenizer, PROMPTS, [" a river", " letters", " B"]),
            **{"max_length": 32, "batch_size": 2, "progress": lambda text: None},
        )
        parts = windows(" ".join(tiny.TEXTS), tokenizer, 32)
        nll = score_windows(model, tokenizer, parts, batch_size=2, progress=lambda text: None)
        likelihoods.append(np.concatenate([labels.ended.ravel(), labels.label.ravel(), nll]))
    quantized, dequantized = likelihoods
    assert np.abs(quantized - dequantized).max() < 1e-3 and np.abs(quantized).min() > 1


# ---------------------------------------------------------------- which weights


CHOICES = [
    # setting, stored, billions of parameters, on a GPU; used
    ("auto", "nf4", 0.1, False, "quantized"),
    ("auto", "nf4", 0.1, True, "dequantized"),
    ("auto", "nf4", 4.0, True, "dequantized"),
    ("auto", "nf4", 4.1, True, "quantized"),
    ("auto", "int8", 0.1, True, "quantized"),
    ("auto", "gptq", 0.1, True, "quantized"),
    ("auto", "none", 0.1, True, "unquantized"),
    ("quantized", "nf4", 0.1, True, "quantized"),
    ("dequantized", "nf4", 70, False, "dequantized"),
    ("dequantized", "int8", 0.1, True, "dequantized"),
    ("dequantized", "gptq", 0.1, True, "quantized"),
    ("dequantized", "none", 0.1, True, "unquantized"),
]


@pytest.mark.parametrize(("setting", "stored", "billions", "on_gpu", "used"), CHOICES)
def test_the_rule(setting, stored, billions, on_gpu, used):
    choice = weights.choose(setting, stored, round(billions * 1e9), on_gpu)
    assert choice.used == used and choice.reason


def test_without_a_gpu_auto_is_as_trained(folder):
    system = loaded(inputs(folder), weights="auto")
    assert system.facts == {
        **{"weights_used": "quantized", "weights_reason": "auto, without a GPU"},
        "fused_norms": 0,
    }
    assert system.model.is_loaded_in_4bit


def test_a_base_and_what_was_tuned_from_it_are_of_one_size(folder, tmp_path, monkeypatch):
    """Else one of them could be above the limit of `auto`, by the parameters of its adapter."""
    seen, choose = [], weights.choose
    monkeypatch.setattr(weights, "choose", lambda *given: seen.append(given) or choose(*given))
    loaded(inputs(folder), weights="auto")
    adapter = tiny.adapter(tmp_path / "adapter", folder, modules_to_save=["lm_head"])
    loaded(inputs(folder, adapter), weights="auto")
    assert seen[0] == seen[1] == ("auto", "nf4", tiny.model().num_parameters(), False)


def test_memory_that_runs_out_and_weights_that_give_no_numbers_are_said(folder, monkeypatch):
    def full(model):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(systems, "dequantize", full)
    with pytest.raises(UserError, match=r"evaluation\.weights: .* not fit .*`quantized`"):
        loaded(inputs(folder))

    def broken(model):
        model = dequantize.dequantize(model)
        model.lm_head.weight.data.fill_(float("inf"))
        return model

    monkeypatch.setattr(systems, "dequantize", broken)
    with pytest.raises(UserError, match=r"evaluation\.weights: .*range of 16 bits"):
        loaded(inputs(folder))


# ---------------------------------------------------------------- what they are measured on


def test_the_last_tokens_of_some_prompts():
    count, bos = systems.LONGEST + 40, [1]
    long = list(range(2, count))
    pieces = systems.sample([[1, *long], [], long, [7], *[long] * 5], bos, 9999)
    last = [1, *range(count - systems.LONGEST, count)]
    assert [piece.tolist() for piece in pieces[:3]] == [last, last, [1, 7]]
    assert sum(len(piece) - 1 for piece in pieces) == systems.TOKENS
    assert [p.tolist() for p in systems.sample([[], [7], [8, 9]], bos, 9999)] == [[1, 7], [1, 8, 9]]
    # Without a bos the first token has nothing before it; a context is never exceeded.
    assert [p.tolist() for p in systems.sample([[7], [8, 9]], [], 9999)] == [[8, 9]]
    assert [p.tolist() for p in systems.sample([[3, 4, 5, 6]], bos, 3)] == [[1, 5, 6]]


def test_prompts_without_a_token_measure_nothing(folder):
    system = systems.load(inputs(folder), settings(), ["", ""], text_ids)
    assert system.facts["weights_divergence"] is None


# ---------------------------------------------------------------- from stage to stage


def test_outputs_and_their_scores_say_which_weights_they_are_of(tmp_path):
    text = {"id": [1, 2], "nll": [3.0, 4.0], "tokens": 2, "words": 2, "bytes": 5}
    metrics = MetricsSettings(outputs="text", metrics=["perplexity"])
    machine, files = CPU, {}
    for used in ("quantized", "dequantized"):
        facts = {"weights_used": used, "weights_reason": "a test"}
        system = systems.System(machine, None, None, facts)
        place = tmp_path / used
        place.mkdir()
        made = outputs.Outputs(pd.DataFrame(text), {})
        outputs.write(made, place / "t.parquet", place / "t.json", settings(), "test", system)
        names = {"scores": "s.parquet", "metrics": "m.json", "table": "m.csv"}
        scores.write(
            pd.read_parquet(place / "t.parquet"),
            *(metrics, [], "test"),
            **{key: place / name for key, name in names.items()},
        )
        files[used] = pd.read_parquet(place / "s.parquet")
        assert '"weights_reason": "a test"' in (place / "t.json").read_text()
    # What is as trained keeps its bytes.
    assert files["quantized"].attrs == {}
    assert evaluated_with.read(files["quantized"]) == "as trained"
    assert evaluated_with.read(files["dequantized"]) == "dequantized"
    pd.testing.assert_frame_equal(*files.values())
