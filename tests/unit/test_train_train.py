import json

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.models import device
from deltatune.models.batch import rows_seen
from deltatune.models.load import load_base, load_system
from deltatune.models.lora import lora_config
from deltatune.models.settings import Lora
from deltatune.tokens.encode import encode, pack
from deltatune.tokens.prompts import Document
from deltatune.tokens.shards import COLUMNS
from deltatune.train import lora as adapters
from deltatune.train import train as training
from deltatune.train.losses import mean_loss
from deltatune.train.settings import Base, Training, TrainSettings
from safetensors.torch import load_file

pytestmark = pytest.mark.filterwarnings("ignore:.*`?use_cache.*")
BASE = "results/models/tiny/model"
LENGTH = 32
QV = ["q_proj", "v_proj"]


def rows(count: int, seed: int = 0):
    """Packed rows of prompts with answers, some of them unequal in supervised tokens."""
    from datasets import Dataset

    draw = np.random.default_rng(seed)
    words = " ".join(tiny.TEXTS).split()
    documents = [
        Document(
            " ".join(draw.choice(words, 3)) + ":",
            " " + " ".join(draw.choice(words, int(draw.integers(1, 5)))),
        )
        for _ in range(count)
    ]
    columns = pack(encode(documents, tiny.tokenizer(), LENGTH, "truncate"), LENGTH)
    return Dataset.from_dict({name: list(columns[name]) for name in COLUMNS})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def data():
    return rows(20), rows(6, seed=1)


def settings(training, *, lora=None, seed=3, quantization="nf4", base=BASE, revision=None):
    """TrainSettings with these fields of `training` and of a small adapter."""
    return TrainSettings(
        model="tiny",
        quantization=quantization,
        lora=Lora(**{"rank": 2, "alpha": 4, "dropout": 0.1, "targets": QV} | (lora or {})),
        training=Training(**training),
        seed=seed,
        base=Base(name=base, revision=revision),
    )


def base(folder, quantization="nf4", seed=3):
    machine = device.prepare(seed, 1)
    return machine, load_base(folder, quantization, machine)


def run(
    folder, data, output, *, quantization="nf4", lora=None, seed=3, checkpoints=None, say=print,
    **changes,
):  # fmt: skip
    """(losses, figures)."""
    changes = {"epochs": 1, "learning_rate": 1e-2, "batch_size": 2, "evaluations": 2, **changes}
    machine, model = base(folder, quantization, seed)
    trained = training.train(
        model,
        *data,
        settings(changes, lora=lora, seed=seed, quantization=quantization),
        machine,
        output=output,
        scratch=output.with_name("scratch"),
        checkpoints=checkpoints,
        say=say,
        progress=lambda text: None,
    )
    return trained.losses, trained.figures | {"used": trained.used}


@pytest.fixture(scope="module")
def trained(folder, data, tmp_path_factory):
    """One QLoRA run: (folder of the adapter, losses, figures)."""
    output = tmp_path_factory.mktemp("run") / "adapter"
    return output, *run(folder, data, output)


def hashes(folder):
    return hashing.write_hashes(folder, folder.with_suffix(".sha256"))


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    trained, folder, data, tmp_path
):
    output, losses, _ = trained
    torch.rand(5)
    again, _ = run(folder, data, tmp_path / "adapter")
    assert hashes(tmp_path / "adapter") == hashes(output)
    pd.testing.assert_frame_equal(again, losses)
    run(folder, data, tmp_path / "other" / "adapter", seed=4)
    weights = "adapter/adapter_model.safetensors"
    assert hashes(tmp_path / "other" / "adapter")[weights] != hashes(output)[weights]


def test_max_steps_are_as_many_steps_of_epochs(trained, folder, data, tmp_path):
    """The schedule, the warmup and the evaluations are of these steps; the rows begin anew."""
    output, losses, figures = trained
    steps = {"epochs": None, "max_steps": figures["steps"]}
    same, _ = run(folder, data, tmp_path / "adapter", **steps)
    assert hashes(tmp_path / "adapter") == hashes(output)
    pd.testing.assert_frame_equal(same, losses)
    more = figures["steps"] + 1
    longer, figures = run(
        *(folder, data, tmp_path / "longer"), epochs=None, max_steps=more, evaluations=50
    )
    assert figures["steps"] == more and sorted({*longer["step"]}) == [*range(more + 1)]
    assert longer["epoch"].max() > 1


def test_only_lora_parameters_change(folder, data, tmp_path):
    machine, model = base(folder, "none")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training.train(
        model,
        *data,
        settings({"epochs": 1, "learning_rate": 1e-2, "batch_size": 2}, lora={"dropout": 0}),
        machine,
        output=tmp_path / "adapter",
        scratch=tmp_path / "scratch",
        progress=lambda text: None,
    )
    after = {n.replace(".base_layer", ""): v for n, v in model.state_dict().items()}
    lora = {n for n in after if ".lora_" in n}
    assert set(after) - lora == set(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    # Both layers, q and v, A and B: nothing else is trained, and B has left zero.
    assert len(lora) == 2 * 2 * 2
    assert all(after[name].abs().sum() > 0 for name in lora)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert len(saved) == len(lora)


def test_what_is_saved_gives_the_loss_of_the_last_step(trained, folder, data):
    output, losses, figures = trained
    machine, _ = base(folder)
    tuned = load_system(folder, "nf4", machine, output)
    assert not any(p.requires_grad for p in tuned.parameters())
    last = losses[losses["split"] == "validation"]["loss"].iloc[-1]
    assert mean_loss(tuned, data[1], 2) == pytest.approx(last, abs=1e-6)
    assert figures["losses"]["validation"]["tuned"] == last


def test_step_0_is_the_base(trained, folder, data):
    _, losses, figures = trained
    _, model = base(folder)
    loss = losses[(losses["split"] == "validation") & (losses["step"] == 0)]["loss"].item()
    assert loss == pytest.approx(mean_loss(model, data[1], 2), abs=1e-9)
    assert figures["losses"]["validation"]["base"] == loss


def test_the_history(trained, data):
    _, losses, figures = trained
    assert list(losses.columns) == ["step", "epoch", "split", "loss"]
    steps = -(-len(data[0]) // 2)
    assert figures["steps"] == steps
    assert losses["split"].tolist() == ["train", "validation"] * 3
    assert losses["step"].tolist() == [s for s in (0, round(steps / 2), steps) for _ in range(2)]
    assert losses["epoch"].iloc[-1] == 1
    train = losses[losses["split"] == "train"]["loss"].tolist()
    assert train[-1] < train[0]
    assert not losses["loss"].isna().any()


def test_the_figures_count_what_was_trained(trained, folder, data):
    output, _, figures = trained
    saved = load_file(output / "adapter_model.safetensors")
    assert figures["trainable_parameters"] == sum(value.numel() for value in saved.values())
    assert (figures["rows"], figures["row_length"]) == (
        len(data[0]),
        len(data[0][0]["input_ids"]),
    )
    seconds, tokens = figures["training_seconds"], len(data[0]) * figures["row_length"]
    assert figures["tokens_per_second"] == pytest.approx(tokens / seconds, rel=0.02)


@pytest.mark.parametrize(
    ("rows_", "per_step", "steps", "seen"),
    [(10, 4, 3, 10), (10, 4, 6, 20), (10, 4, 7, 24), (4, 4, 2, 8), (3, 8, 2, 6)],
)
def test_the_last_step_of_an_epoch_may_see_fewer_rows(rows_, per_step, steps, seen):
    assert rows_seen(rows_, per_step, steps) == seen


@pytest.mark.parametrize("warmup", [0.03, 0.9])
def test_a_run_of_one_step_lowers_the_loss(folder, data, tmp_path, warmup):
    """A warm-up begins at a rate of 0, where nothing is trained."""
    losses, figures = run(folder, data, tmp_path / "adapter", batch_size=32, warmup=warmup)
    assert figures["steps"] == 1
    before, after = losses[losses["split"] == "train"]["loss"].iloc[[0, -1]]
    assert after < before - 1e-4


def test_the_adapter_names_its_base_by_the_path_in_results(trained):
    output, _, _ = trained
    config = json.loads((output / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == BASE
    assert config["target_modules"] == ["q_proj", "v_proj"]
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (2, 4, 0.1)
    assert {file.name for file in output.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not output.with_name("scratch").exists()


def test_every_field_of_the_settings_reaches_peft():
    """A renamed or unknown field would be an error of LoraConfig, a lost one would go unseen."""
    changed = {
        "rank": 3,
        "alpha": 5,
        "dropout": 0.2,
        "targets": ["k_proj"],
        "bias": "lora_only",
        "use_rslora": True,
        "use_dora": True,
        "init_lora_weights": "gaussian",
        "modules_to_save": ["lm_head"],
        "layers_to_transform": [1],
        "rank_pattern": {"k_proj": 4},
        "alpha_pattern": {"k_proj": 8},
    }
    assert set(changed) == set(Lora.model_fields)
    config = lora_config(tiny.model(), Lora(**changed), BASE)
    names = {"rank": "r", "alpha": "lora_alpha", "dropout": "lora_dropout"}
    for key, value in changed.items():
        name = names.get(key, "target_modules" if key == "targets" else key)
        field = getattr(config, name)
        assert (sorted(field) if isinstance(field, set) else field) == value
    assert config.base_model_name_or_path == BASE


# ---------------------------------------------------------------- the loss


def by_hand(model, rows_) -> tuple[float, float]:
    """(mean over all supervised tokens, mean of the means of the rows), row by row, each document
    of a packed row alone."""
    totals, counts = [], []
    for row in rows_:
        starts = [i for i, position in enumerate(row["position_ids"]) if position == 0]
        total, count = 0.0, 0
        for start, stop in zip(starts, [*starts[1:], len(row["labels"])], strict=True):
            logs = tiny.log_probabilities(model, row["input_ids"][start:stop])
            for i, label in enumerate(row["labels"][start + 1 : stop]):
                if label != -100:
                    total -= logs[i, label].item()
                    count += 1
        totals.append(total)
        counts.append(count)
    return sum(totals) / sum(counts), float(np.mean(np.array(totals) / counts))


@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_supervised_token_weighs_the_same(data, batch_size):
    model = tiny.model()
    expected, of_rows = by_hand(model, data[1])
    assert abs(expected - of_rows) > 1e-3, "the rows do not tell the two means apart"
    assert mean_loss(model, data[1], batch_size) == pytest.approx(expected, abs=1e-5)


def test_measuring_leaves_the_mode_and_the_generator_as_they_were(data):
    model = tiny.model().train()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    mean_loss(model, data[1], 2)
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        # peft would go on with the name that there is.
        (
            {"targets": ["v_proj", "q_prj"]},
            r"lora.targets: no layer is called 'q_prj' \(did you mean 'q_proj'\?\).*layers of this "
            r"model are embed_tokens, q_proj, k_proj.*lm_head",
        ),
        (
            {"targets": "q_proj|v_proj"},
            r"lora.targets.*whole name of no layer.*embed_tokens, q_proj",
        ),
        ({"modules_to_save": ["head"]}, r"lora.modules_to_save: no layer is called 'head'"),
    ],
)
def test_an_unknown_layer_is_refused(folder, data, tmp_path, lora, message):
    with pytest.raises(UserError, match=message):
        run(folder, data, tmp_path / "adapter", lora=lora)


def test_targets_can_be_a_regular_expression(folder):
    _, model = base(folder, "none")
    chosen = Lora(targets=r".*[.]1[.].*[.](q|v)_proj")
    model = adapters.with_lora(model, chosen, 0, BASE)
    trained = {name.partition(".lora_")[0] for name in adapters.copy_trained(model)}
    assert {name.split("layers.")[1] for name in trained} == {
        "1.self_attn.q_proj",
        "1.self_attn.v_proj",
    }
    with pytest.raises(ValueError, match="no regular expression"):
        Lora(targets="(q_proj")


@pytest.mark.parametrize("seen", ["measured", "logged"])
def test_a_loss_that_is_no_number_is_refused(folder, data, tmp_path, monkeypatch, seen):
    machine, model = base(folder, "none")
    model.lm_head.weight.data[5] = float("nan")
    message = r"train loss of the base is not finite"
    if seen == "logged":
        monkeypatch.setattr(training, "mean_loss", lambda *arguments, **keywords: 1.0)
        message = r"training loss is not finite \(NaN or infinity\) at step 1\..*learning_rate"
    with pytest.raises(UserError, match=message):
        training.train(
            model,
            *data,
            settings({}),
            machine,
            output=tmp_path / "adapter",
            scratch=tmp_path / "scratch",
            progress=lambda text: None,
        )
    assert not (tmp_path / "adapter").exists()


def test_no_rows_to_train_on_is_refused(folder, data, tmp_path):
    train_rows, validation_rows = data
    for empty in ((train_rows.select([]), validation_rows), (train_rows, train_rows.select([]))):
        with pytest.raises(UserError, match="max_length"):
            run(folder, empty, tmp_path / "adapter")


# ---------------------------------------------------------------- the quantized base


def gradients(folder, measured: bool) -> dict[str, torch.Tensor]:
    """Of an adapter that has left its beginning, with or without a measurement before."""
    from peft import get_peft_model

    _, model = base(folder)
    lora = Lora(rank=2, dropout=0, init_lora_weights=False)
    torch.manual_seed(0)
    model = get_peft_model(model, lora_config(model, lora, BASE))
    ids = torch.tensor([list(range(3, 40))])
    if measured:
        with torch.no_grad():
            model.eval()(input_ids=ids, use_cache=False)
    model.train()(input_ids=ids, labels=ids, use_cache=False).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.requires_grad}


def test_an_evaluation_does_not_change_the_gradients(folder):
    """bitsandbytes can pack the weights in evaluation mode for a kernel that has no gradient."""
    untouched, measured = gradients(folder, False), gradients(folder, True)
    assert all(gradient is not None and gradient.any() for gradient in untouched.values())
    for name, gradient in untouched.items():
        assert measured[name] is not None, f"{name} gets no gradient after a measurement"
        torch.testing.assert_close(measured[name], gradient)


@pytest.mark.parametrize("hidden_size", [64, 48])
def test_nf4_is_the_dequantized_weight_in_the_compute_precision(tmp_path, hidden_size):
    """On every CPU alike, and for sizes that are no multiple of bitsandbytes' blocks."""
    _, model = base(tiny.saved(tmp_path / "model", hidden_size=hidden_size))
    layer = model.model.layers[0].mlp.down_proj
    from bitsandbytes.functional import dequantize_4bit

    weight = dequantize_4bit(layer.weight.data, layer.weight.quant_state)
    x = torch.randn(3, 5, weight.shape[1])
    with torch.inference_mode():
        product = layer(x)
    assert product.dtype == torch.float32
    torch.testing.assert_close(product, x @ weight.T, rtol=1e-5, atol=1e-5)
