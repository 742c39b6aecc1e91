"""RMS norms in one kernel give what their classes give; all other norms stay as they are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import tiny
import torch
from deltatune.evaluate import systems
from deltatune.evaluate.likelihood_settings import TextSettings
from deltatune.models import norms
from deltatune.models.architecture import architecture
from deltatune.models.twin import twin
from deltatune.tokens.ids import text_ids

IDS = torch.arange(3, 40)[None]


def norms_of(model: torch.nn.Module) -> dict[str, torch.nn.Module]:
    return {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.RMSNorm)}


@torch.inference_mode()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits


# ---------------------------------------------------------------- which norms


#: model_type -> how many norms of a tiny model of its class are fused, of how many in two layers.
FUSED = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "phi3", "granite"), 5),
    # With norms of queries and keys.
    **dict.fromkeys(("qwen3", "olmo2"), 9),
    # They multiply by 1 + weight.
    **dict.fromkeys(("gemma", "gemma2", "gemma3_text"), 0),
    # Those of its two state-space layers take a gate beside the activations.
    "mamba2": 3,
    # Layer norms: with a bias, without one, without a weight.
    **dict.fromkeys(("gpt2", "cohere", "olmo"), 0),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FUSED)
def test_rms_norms_are_fused_and_others_are_not(kind):
    made_of = architecture({"model_type": kind})
    model = twin(made_of.config, made_of.attention)
    torch.manual_seed(0)
    for parameter in model.parameters():
        if parameter.ndim == 1:  # those of a new norm tell nothing
            parameter.data += 0.5 * torch.randn_like(parameter)
    before, state = logits(model), {n: id(p) for n, p in model.named_parameters()}
    assert norms.fuse(model) == len(norms_of(model)) == FUSED[kind]
    after = logits(model)
    assert (after - before).abs().max() < 1e-4 * before.std()
    assert {n: id(p) for n, p in model.named_parameters()} == state
    assert not any(module.training for module in model.modules())


class Norm(torch.nn.Module):
    """As written in transformers, and what a test changes of it."""

    def __init__(self, eps=1e-6, **changes):
        super().__init__()
        self.weight, self.eps = torch.nn.Parameter(torch.ones(48)), eps
        self.used_eps, self.center, self.in_fp32 = eps, False, False
        vars(self).update(changes)

    def forward(self, values):
        wide = values.float()
        wide = wide - wide.mean(-1, keepdim=True) * self.center
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.used_eps)
        return self.weight * (wide if self.in_fp32 else wide.to(values.dtype))


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"eps": 1e-5}, True),
        ({"used_eps": 1e-5}, False),
        ({"center": True}, False),
        ({"in_fp32": True}, False),  # its activations stay in fp32
    ],
)
def test_what_differs_is_seen_with_new_weights_too(changes, same):
    norm = Norm(**changes)
    assert norms.looks_like_a_norm(norm) and norms.is_rms_norm(norm) is same
    assert norm.weight.equal(torch.ones(48))


def test_what_is_more_than_a_norm_is_not_asked():
    placed, scaled = Norm(), Norm()
    placed.forward = placed.forward
    scaled.register_buffer("scale", torch.ones(48))

    class Gated(Norm):
        def forward(self, values, gate=None):
            return super().forward(values)

    assert norms.looks_like_a_norm(Norm())
    for other in (Gated(), placed, scaled, Norm(eps=None), torch.nn.Linear(4, 4, bias=False)):
        assert not norms.looks_like_a_norm(other)


def test_a_norm_in_another_type_than_the_model_stays():
    model = tiny.model().to(torch.bfloat16)
    model.model.norm.float()
    assert norms.fuse(model) == 4
    assert "model.norm" not in norms_of(model)


def test_a_class_whose_logits_change_stays_as_it_is(monkeypatch):
    """Such as one that reads the eps of its norms."""
    model = tiny.model(rms_norm_eps=2e-6)  # asked anew
    monkeypatch.setattr(norms, "_eps", lambda norm: 0.5)
    monkeypatch.setattr(norms, "is_rms_norm", lambda norm: True)
    assert not norms.keeps_its_logits(model)
    assert norms.fuse(model) == 0
    assert norms_of(model) == {}


def test_a_model_that_fails_with_fused_norms_is_as_it_was(monkeypatch):
    model = tiny.model()
    monkeypatch.setattr(norms, "_fused", lambda norm: torch.nn.Linear(1, 1))
    with pytest.raises(RuntimeError):
        norms.keeps_its_logits(model)
    assert [type(m).__name__ for m in model.modules()] == [
        type(m).__name__ for m in tiny.model().modules()
    ]


def test_in_16_bits_it_is_the_same_but_for_rounding():
    model = tiny.model(spread=0.1).to(torch.bfloat16)
    for name, weight in model.named_parameters():
        if "norm" in name:  # to multiply by 1 rounds nothing
            weight.data += 0.5 * torch.randn_like(weight)
    before = logits(model).float()
    assert norms.fuse(model) == 5
    after = logits(model).float()
    assert 0 < (after - before).abs().max() < 0.1 * before.std()


# ---------------------------------------------------------------- in an evaluation


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model", spread=0.1)


def pretend_a_gpu(monkeypatch) -> None:
    on_cpu = systems._base

    def on_gpu(*given):
        machine, model, tokenizer = on_cpu(*given)
        return replace(machine, device="cuda:0"), model, tokenizer

    monkeypatch.setattr(systems, "_base", on_gpu)


def load(inputs: SimpleNamespace, weights: str) -> systems.System:
    fields = {"task": "t", "kind": "prose", "quantization": "nf4", "batch_size": 2}
    settings = TextSettings(**fields, weights=weights, context=32, windows="sliding")
    return systems.load(inputs, settings, ["Name a river.", "She wrote three letters"], text_ids)


@pytest.mark.parametrize("weights", ["quantized", "dequantized"])
@pytest.mark.parametrize(
    "lora",
    [None, {"r": 4}, {"modules_to_save": ["norm"]}],
    ids=["base", "tuned", "a norm trained"],
)
def test_only_on_a_gpu_base_and_tuned_have_fused_norms(base, tmp_path, monkeypatch, weights, lora):
    inputs = SimpleNamespace(model=str(base))
    if lora is not None:
        inputs.adapter = f"{tiny.adapter(tmp_path / 'a', base, **lora)}.sha256"
    written = load(inputs, weights)
    pretend_a_gpu(monkeypatch)
    fused = load(inputs, weights)
    assert (written.facts["fused_norms"], fused.facts["fused_norms"]) == (0, 5)
    assert norms_of(written.model) == {}
    left = [n for n, m in fused.model.named_modules() if type(m).__name__ == "MistralRMSNorm"]
    assert left == [] and len(norms_of(fused.model)) >= 5
    assert (logits(fused.model) - logits(written.model)).abs().max() < 1e-4
    if weights == "dequantized":  # measured from the same norms
        assert fused.facts["weights_divergence"]["kl_mean"] < 1e-8


def test_a_merged_model_is_compared_with_what_has_its_norms_as_written(base, monkeypatch):
    pretend_a_gpu(monkeypatch)
    _, model, _ = systems.load_as_trained(SimpleNamespace(model=str(base)), "none")
    assert norms_of(model) == {}
