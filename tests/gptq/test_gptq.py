"""Bases quantized with GPTQ, where the packages of requirements-gptq.txt are on the path.

A preset is run with it through the rules in tests/presets.
"""

import inspect
import json
import shutil

import numpy as np
import pytest
import tiny
import torch
from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.models import device, gptq, quantization, upstream
from deltatune.models.gptq_settings import QuantizeSettings
from deltatune.models.load import load_base, load_system
from deltatune.models.settings import Lora
from deltatune.train.lora import with_lora
from deltatune.train.losses import mean_loss
from deltatune.train.train import train
from peft import LoraConfig, get_peft_model
from test_train_train import settings

pytest.importorskip(
    "gptqmodel", reason="needs pip install --no-deps -r requirements-gptq.txt -c constraints.txt"
)
pytest.importorskip("optimum", reason="needs requirements-gptq.txt")
pytestmark = pytest.mark.filterwarnings("ignore")

CPU = device.Compute("cpu", torch.float32, "a test")
SHAPE = {"hidden_size": 64, "intermediate_size": 96}
SETTINGS = QuantizeSettings(model="tiny", group_size=32, samples=24)


def packed(count, seed=0):
    """Rows of 48 tokens with 6 of padding at their ends."""
    draw = np.random.default_rng(seed)
    text = tiny.tokenizer()(" ".join(tiny.TEXTS))["input_ids"]
    rows = []
    for _ in range(count):
        start = int(draw.integers(len(text) - 42))
        ids = text[start : start + 42] + [0] * 6
        labels = ids[:42] + [-100] * 6
        rows.append({"input_ids": ids, "labels": labels, "position_ids": [*range(42), *range(6)]})
    from datasets import Dataset

    return Dataset.from_list(rows)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model", spread=0.1, **SHAPE)


@pytest.fixture(scope="module")
def quantized(base, tmp_path_factory):
    """(folder, facts)"""
    output = tmp_path_factory.mktemp("quantized") / "model"
    samples = gptq.calibration(packed(40), SETTINGS.samples, 0, SETTINGS.seed)
    return output, gptq.quantize(base, samples, SETTINGS, CPU, output)


# ---------------------------------------------------------------- the library


def test_calibration_is_drawn_by_the_seed_and_has_no_padding():
    rows = packed(40)
    samples = gptq.calibration(rows, 24, 0, seed=0)
    assert len(samples) == 24
    assert {len(sample["input_ids"]) for sample in samples} == {42}
    assert all(sample["attention_mask"] == [1] * 42 for sample in samples)
    assert samples == gptq.calibration(rows, 24, 0, seed=0)
    assert samples != gptq.calibration(rows, 24, 0, seed=1)
    assert len(gptq.calibration(rows, 99, 0, seed=0)) == 40


def test_the_folder_is_a_model_with_its_tokenizer(base, quantized):
    folder, facts = quantized
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()
    assert facts["quantized_layers"] == 14
    assert facts["calibration_rows"] == 24 and facts["calibration_tokens"] == 24 * 42
    plain = (base / "model.safetensors").stat().st_size
    assert facts["weight_bytes"] < plain
    text = "".join(path.read_text() for path in folder.glob("*.json"))
    assert "/tmp" not in text and str(folder.parent) not in text


def test_the_same_text_gives_the_same_bytes_and_leaves_nothing_else(
    base, quantized, tmp_path, monkeypatch
):
    folder, _ = quantized
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    samples = gptq.calibration(packed(40), SETTINGS.samples, 0, SETTINGS.seed)
    gptq.quantize(base, samples, SETTINGS, CPU, tmp_path / "model")
    assert not list((tmp_path / "here").iterdir())
    hashes = hashing.write_hashes(folder, tmp_path / "one.sha256")
    assert hashing.write_hashes(tmp_path / "model", tmp_path / "other.sha256") == hashes


def weights(layer):
    """float32 [out, in] of a quantized layer."""
    return layer.dequantize_weight().T.float()


def test_weights_are_within_one_level_of_the_originals(base, quantized):
    """4 bits, symmetric: 16 levels between -8/7 and 1 times the largest weight of a group. Rounding
    to the nearest is within half a level; GPTQ goes on to make up for it in the rest of the row."""
    plain = dict(load_base(base, "none", CPU).named_modules())
    layers = quantization.gptq_layers(load_base(quantized[0], "gptq", CPU))
    assert len(layers) == 14 and not any("lm_head" in name for name in layers)
    for name, layer in layers.items():
        original = plain[name].weight
        level = original.abs().unflatten(1, (-1, 32)).amax(2).repeat_interleave(32, 1) / 7
        error = (weights(layer) - original).abs() / level
        assert error.mean() < 0.6, name
        assert error.max() > 0.2, f"{name} was not rounded"


def test_its_error_on_the_calibration_text_is_less_than_that_of_rounding(base, quantized):
    """What GPTQ is for: the layer's outputs, not its weights."""
    plain = load_base(base, "none", CPU)
    layers = quantization.gptq_layers(load_base(quantized[0], "gptq", CPU))
    name = "model.layers.0.mlp.up_proj"
    inputs = []
    module = dict(plain.named_modules())[name]
    module.register_forward_pre_hook(lambda m, a: inputs.append(a[0].flatten(0, 1)))
    samples = gptq.calibration(packed(40), SETTINGS.samples, 0, SETTINGS.seed)
    with torch.no_grad():
        for sample in samples:
            plain(input_ids=torch.tensor([sample["input_ids"]]), use_cache=False)
        x, w = torch.cat(inputs), module.weight
        groups = w.unflatten(1, (-1, 32))
        level = groups.abs().amax(2, keepdim=True) / 7
        rounded = ((groups / level).round().clamp(-8, 7) * level).flatten(1)
        error = [
            (x @ (other - w).T).pow(2).sum().item() for other in (weights(layers[name]), rounded)
        ]
    assert error[0] < 0.9 * error[1]


def test_gradients_pass_a_quantized_layer_after_an_evaluation(quantized):
    """The kernel that gptqmodel chooses for a CPU by itself has none after its first evaluation."""
    model = load_base(quantized[0], "gptq", CPU)
    for layer in quantization.gptq_layers(model).values():
        x = torch.randn(3, layer.in_features, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            evaluated = layer.eval()(x)
        assert torch.allclose(evaluated, x @ weights(layer).T, atol=1e-4)
        x = x.requires_grad_()
        layer.train()(x).sum().backward()
        assert torch.allclose(x.grad, weights(layer).sum(0).expand(3, -1), atol=1e-3)


def test_nothing_is_compiled(quantized):
    """It takes a C++ compiler, and a minute before the first token."""
    model = load_base(quantized[0], "gptq", CPU)
    layers = quantization.gptq_layers(model).values()
    assert all(hasattr(layer.dequantize_weight, "__func__") for layer in layers)


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_layers(base, quantized):
    """Unpacked weights of all layers at once would be the model in 16 bits."""
    sizes = []
    plain = load_base(base, "none", CPU)
    shapes = {tuple(p.shape) for p in plain.model.layers.parameters() if p.dim() == 2}
    for model in (load_base(quantized[0], "gptq", CPU), plain):
        model.requires_grad_(False)
        ids = torch.tensor([packed(1)[0]["input_ids"]])
        x = model.get_input_embeddings()(ids).requires_grad_()
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, kept=kept: (kept.append(t), t)[1], lambda t: t
        ):
            model(inputs_embeds=x, use_cache=False)
        weights_ = [t for t in kept if {tuple(t.shape), tuple(t.shape)[::-1]} & shapes]
        sizes.append(len(weights_))
    # Of the plain model each layer's weights are there, which are its own and cost nothing.
    assert sizes == [0, 14]


def test_parameters_are_counted_as_if_not_quantized(base, quantized):
    plain = load_base(base, "none", CPU)
    for folder, quantized_as in ((quantized[0], "gptq"), (base, "nf4"), (base, "none")):
        model = load_base(folder, quantized_as, CPU)
        assert quantization.count_parameters(model) == plain.num_parameters()


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"]])
def test_an_adapter_is_trained_saved_and_loaded(quantized, tmp_path, targets):
    rows = packed(16), packed(4, seed=1)
    model = load_base(quantized[0], "gptq", device.prepare(1, 1))
    before = {name: b.clone() for name, b in model.named_buffers() if "qweight" in name}
    training = {"epochs": 4, "learning_rate": 1e-2, "batch_size": 4}
    training["optimizer"] = "paged_adamw_32bit"
    losses = train(
        model,
        *rows,
        settings(training, lora={"targets": targets}, quantization="gptq"),
        CPU,
        output=tmp_path / "adapter",
        scratch=tmp_path / "scratch",
        progress=lambda text: None,
    ).losses
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "results/models/tiny/model"
    with_lora = {"all-linear": 7}.get(str(targets), 2)
    assert len(config["target_modules"]) == with_lora and "lm_head" not in config["target_modules"]
    after = {n.replace(".base_layer", ""): b for n, b in model.named_buffers() if "qweight" in n}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    of_train = losses[losses["split"] == "train"]["loss"].tolist()
    assert of_train[-1] < of_train[0] - 0.1
    tuned = load_system(quantized[0], "gptq", CPU, tmp_path / "adapter")
    last = losses["loss"].iloc[-1]
    assert mean_loss(tuned, rows[1], 4) == pytest.approx(last, abs=1e-5)


def published(folder, quantized, **changes):
    """The folder as somebody else would publish it."""
    shutil.copytree(quantized[0], folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] |= changes
    path.write_text(json.dumps(config))
    return folder


def test_a_published_checkpoint_is_used_as_what_it_is(quantized, tmp_path):
    folder = published(tmp_path / "models" / "m" / "model", quantized)
    with pytest.raises(UserError, match=r"^quantization: models\.m is published quantized \(GPTQ"):
        load_base(folder, "nf4", CPU)
    model = load_base(folder, "as-published", CPU)
    assert len(quantization.gptq_layers(model)) == 14
    counted = quantization.layers(model)
    assert (counted.quantized, counted.linear) == (14, 14)
    ids = torch.tensor([packed(1)[0]["input_ids"]])
    with torch.no_grad():
        known = load_base(quantized[0], "gptq", CPU)(ids).logits
        assert torch.equal(model(ids).logits, known)
    losses = train(
        model,
        *(packed(16), packed(4, seed=1)),
        settings(
            {"epochs": 4, "learning_rate": 1e-2, "batch_size": 4}, quantization="as-published"
        ),
        CPU,
        output=tmp_path / "adapter",
        scratch=tmp_path / "scratch",
        progress=lambda text: None,
    ).losses
    of_train = losses[losses["split"] == "train"]["loss"].tolist()
    assert of_train[-1] < of_train[0] - 0.1
    tuned = load_system(folder, "as-published", CPU, tmp_path / "adapter")
    assert mean_loss(tuned, packed(4, seed=1), 4) == pytest.approx(
        losses["loss"].iloc[-1], abs=1e-5
    )


def awq(weight, group=32):
    """qweight, qzeros, scales of a weight [out, in] as AutoAWQ packs it; what they stand for."""
    blocks = weight.T.reshape(-1, group, len(weight))
    low, high = blocks.amin(1, keepdim=True), blocks.amax(1, keepdim=True)
    scales = ((high - low) / 15).half().float()
    zeros = (-low / scales).round().clamp(0, 15)
    levels = ((blocks / scales).round() + zeros).clamp(0, 15)
    plain = ((levels - zeros) * scales).reshape(weight.T.shape).T.contiguous()

    def packed_columns(numbers):
        numbers = numbers.reshape(-1, len(weight)).long()
        order = enumerate((0, 2, 4, 6, 1, 3, 5, 7))
        whole = sum(numbers[:, column::8] << 4 * place for place, column in order)
        return whole.to(torch.int32).contiguous()

    return packed_columns(levels), packed_columns(zeros), scales[:, 0].half().contiguous(), plain


def test_awq_is_used_as_what_it_is(base, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "models" / "m" / "model"
    shutil.copytree(base, folder)
    stored, plain = {}, load_base(base, "none", CPU)
    for name, value in load_file(base / "model.safetensors").items():
        if not name.endswith("_proj.weight"):
            stored[name] = value
            continue
        parts = dict(zip(("qweight", "qzeros", "scales", "plain"), awq(value.float()), strict=True))
        plain.get_submodule(name.removesuffix(".weight")).weight.data = parts.pop("plain")
        stored |= {name.replace("weight", part): tensor for part, tensor in parts.items()}
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    fields = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True}
    config["quantization_config"] = fields | {"version": "gemm"}
    (folder / "config.json").write_text(json.dumps(config))
    model = load_base(folder, "as-published", CPU)
    assert quantization.layers(model).quantized == 14
    ids = torch.tensor([packed(1)[0]["input_ids"]])
    with torch.no_grad():
        known, logits = plain(ids).logits, model(ids).logits
    assert torch.allclose(logits, known, atol=0.02 * known.std())
    tuned = with_lora(model, Lora(rank=2), 0, "base").train()
    tuned(input_ids=ids, labels=ids).loss.backward()
    trained = [p for name, p in tuned.named_parameters() if "lora_B" in name]
    assert len(trained) == 14 and all(p.grad.any() for p in trained)


def test_dora_is_refused_with_what_peft_says(quantized, tmp_path):
    with pytest.raises(UserError, match=r"lora: peft refuses.*DoRA"):
        train(
            load_base(quantized[0], "gptq", CPU),
            packed(4),
            packed(2),
            settings({}, lora={"use_dora": True}, quantization="gptq"),
            CPU,
            output=tmp_path / "adapter",
            scratch=tmp_path / "scratch",
        )


def test_groups_that_do_not_divide_the_layers_are_refused(base, quantized, tmp_path):
    other = SETTINGS.model_copy(update={"group_size": 128})
    with pytest.raises(UserError, match=r"models\.tiny\.gptq\.group_size: 128.*64 and 96"):
        gptq.quantize(base, [], other, CPU, tmp_path / "model")
    with pytest.raises(UserError, match="quantized already"):
        gptq.quantize(quantized[0], [], SETTINGS, CPU, tmp_path / "model")
    assert not (tmp_path / "model").exists()


# ---------------------------------------------------------------- workarounds that may go


def test_gptqmodel_still_compiles_each_layer(quantized, monkeypatch):
    monkeypatch.setattr(upstream, "disable_gptq_compilation", lambda layer: None)
    layers = quantization.gptq_layers(load_base(quantized[0], "gptq", CPU)).values()
    assert layers and all("dequantize_weight" in vars(layer) for layer in layers)


def test_the_kernel_that_gptqmodel_chooses_still_has_no_gradient_after_an_evaluation(
    quantized, monkeypatch
):
    monkeypatch.setattr(upstream, "disable_gptq_compilation", lambda layer: None)
    monkeypatch.setattr(upstream, "GPTQ_BACKEND", "auto_trainable")
    layer = next(iter(quantization.gptq_layers(load_base(quantized[0], "gptq", CPU)).values()))
    x = torch.randn(3, layer.in_features)
    with torch.no_grad():
        layer.eval()(x)
    assert not layer.train()(x.requires_grad_()).requires_grad


def test_gptqmodel_still_reads_its_workers_when_it_is_imported():
    import gptqmodel

    assert 'getenv("GPTQMODEL_CPU_WORKERS")' in inspect.getsource(gptqmodel)


def test_peft_still_counts_no_layer_of_gptq_as_linear(quantized):
    model = load_base(quantized[0], "gptq", CPU)
    with pytest.raises(ValueError, match="No `target_modules` passed"):
        get_peft_model(model, LoraConfig(r=1, target_modules="all-linear"))
