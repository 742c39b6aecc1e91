"""The plan against what autograd, bitsandbytes and the Trainer really do on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import tiny
import torch
import yaml
from deltatune.config import model as settings_model
from deltatune.config import stages
from deltatune.config.load import load_settings
from deltatune.core.errors import UserError
from deltatune.models import activations, device, gpus, memory
from deltatune.models.activations import Live
from deltatune.models.batch import Batch
from deltatune.models.dimensions import ModelDimensions, model_dimensions
from deltatune.models.load import load_base
from deltatune.models.memory import Setup
from deltatune.plan import evaluation, work
from deltatune.plan import model as planning_model
from deltatune.plan import plan as planning
from deltatune.plan.settings import Files, Planned
from deltatune.workflow import flow as workflow
from stage_settings import task_settings

CONFIGS = Path(__file__).resolve().parents[2] / "presets" / "configs"
QV = ["q_proj", "v_proj"]
SHAPE = {
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 3,
    "max_position_embeddings": 128,
}
BATCH, LENGTH = 2, 64


def sizes(lora: dict, **changes) -> ModelDimensions:
    config = tiny.model(**SHAPE | changes).config.to_dict()
    return model_dimensions(config, settings_model.Lora(**lora), "experiments.x")


def setup(**changes) -> Setup:
    fields = {
        "quantization": "none",
        "optimizer": "adamw_torch",
        "batch": Batch(BATCH, 1),
        "row_length": LENGTH,
        "checkpointing": False,
        "on_gpu": False,
        "half": False,
    }
    return Setup(**fields | changes)


def with_lora(quantization: str, lora: dict, folder: Path, dtype=torch.float32, **changes):
    """A small Mistral as train_adapter has it, in training."""
    from deltatune.models.lora import lora_config
    from peft import get_peft_model

    tiny.saved(folder, **SHAPE | changes)
    base = load_base(folder, quantization, device.Compute("cpu", dtype, ""))
    return get_peft_model(base, lora_config(base, settings_model.Lora(**lora))).train()


def batch(model) -> dict[str, torch.Tensor]:
    """Packed rows of two documents each."""
    ids = torch.randint(3, model.config.vocab_size, (BATCH, LENGTH))
    positions = torch.arange(LENGTH // 2).repeat(BATCH, 2)
    return {"input_ids": ids, "labels": ids, "position_ids": positions}


def saved_bytes(model, dtype=torch.float32) -> int:
    """Bytes that autograd saves for the backward pass, weights of the model left out."""
    owned = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, torch.Tensor] = {}

    def pack(tensor):
        if tensor.untyped_storage().data_ptr() not in owned:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    rows = batch(model)
    half = torch.autocast("cpu", dtype=dtype, enabled=dtype is not torch.float32)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), half:
        output = model(**rows, use_cache=False)
    assert output.loss.requires_grad
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


@pytest.fixture(scope="module")
def mistral():
    config = json.loads((CONFIGS / "mistralai--Mistral-7B-v0.1.json").read_text())
    return model_dimensions(config, settings_model.Lora(rank=8, targets=QV), "experiments.x")


# What the loss saves and the plan counts apart: log-probabilities in fp32 and labels.
def loss_saves(dimensions) -> int:
    return BATCH * LENGTH * (4 * dimensions.vocabulary + 8)


CASES = [
    {"targets": QV, "rank": 4, "dropout": 0.1},
    {"targets": "all-linear", "rank": 8, "dropout": 0.1},
    {"targets": "all-linear", "rank": 8, "dropout": 0.0},
    {"targets": ["o_proj", "down_proj", "up_proj"], "rank": 2, "dropout": 0.0},
    {"targets": ["q_proj"], "rank": 2, "dropout": 0.1, "layers_to_transform": [1]},
]


@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize("lora", CASES, ids=lambda lora: str(lora["targets"]))
def test_activations_are_what_autograd_keeps(tmp_path, quantization, lora):
    dimensions = sizes(lora)
    growth = memory.measured(dimensions, setup(quantization=quantization))
    predicted = growth.kept.of(BATCH) + loss_saves(dimensions)
    measured = saved_bytes(with_lora(quantization, lora, tmp_path / "model"))
    assert predicted == pytest.approx(measured, rel=0.02)


@pytest.mark.parametrize("targets", [QV, "all-linear"])
def test_activations_in_half_precision(tmp_path, targets):
    # Without dropout: its mask is the one thing that the CPU keeps in another form than a GPU.
    lora = {"targets": targets, "rank": 8, "dropout": 0.0}
    dimensions = sizes(lora)
    growth = memory.measured(dimensions, setup(on_gpu=True, half=True))
    predicted = growth.kept.of(BATCH) + loss_saves(dimensions)
    model = with_lora("none", lora, tmp_path / "model", torch.bfloat16)
    assert predicted == pytest.approx(saved_bytes(model, torch.bfloat16), rel=0.02)


def test_a_gpu_keeps_a_byte_for_each_number_that_may_be_dropped():
    """The CPU keeps a factor in fp32."""
    dropped = 3 * (4 * 64 + 2 * 64 + 192) - 3 * 64  # of inputs of each block; q, k, v of the first
    gpu, cpu = (
        memory.measured(
            sizes({"targets": "all-linear", "dropout": 0.1}, num_key_value_heads=2),
            setup(on_gpu=on_gpu, row_length=LENGTH),
        ).kept.each
        for on_gpu in (True, False)
    )
    assert cpu - gpu == pytest.approx(3 * LENGTH * dropped, rel=0.05)


OTHERS = {
    "gpt2": {"n_embd": 64, "n_head": 4, "n_layer": 6, "vocab_size": 300},
    "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
    "gemma2": {"head_dim": 16, "num_key_value_heads": 2},
    "falcon": {},
    "gpt_neox": {},
    "phi3": {"pad_token_id": 0},
    "olmo2": {},
    "bloom": {"n_layer": 6, "n_head": 4},
    "mixtral": {"num_key_value_heads": 2, "num_local_experts": 4},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_any_architecture(kind, checkpointing):
    """What autograd keeps of a model of the same code with real tensors, and its peak. It has more
    blocks than are measured where they are alike."""
    from deltatune.models.lora import lora_config
    from peft import get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 6}
    shape |= {"num_attention_heads": 4, "vocab_size": 300}
    typed = AutoConfig.for_model(kind, **shape | OTHERS[kind])
    lora = settings_model.Lora(rank=4, dropout=0, targets="all-linear")
    dimensions = model_dimensions(typed.to_dict(), lora, "experiments.x")
    growth = memory.measured(dimensions, setup(checkpointing=checkpointing))
    model = AutoModelForCausalLM.from_config(typed, attn_implementation=typed._attn_implementation)
    model = get_peft_model(model, lora_config(model, lora)).train()
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    rows = batch(model) | {"use_cache": False}
    labels = rows.pop("labels")
    assert labels.shape == (BATCH, LENGTH)
    base = model.get_base_model()
    live = Live(
        [*model.parameters(), *model.buffers(), *(v for v in rows.values() if v is not False)]
    )
    with live:
        hidden = getattr(base, base.base_model_prefix)(**rows).last_hidden_state
        kept = live.now
        hidden.backward(torch.ones_like(hidden))
    gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    if any("experts" in name for name, _ in model.named_parameters()):
        # Of a mixture's frozen experts more is counted than a CPU keeps: too much, not too little.
        counted = growth.kept.of(BATCH) + growth.backward.of(BATCH)
        assert 0.98 <= counted / (live.peak - hidden.nbytes) <= 1.3
    else:
        assert growth.kept.of(BATCH) == pytest.approx(kept - hidden.nbytes, rel=0.02)
        assert growth.backward.of(BATCH) == pytest.approx(live.peak - kept, abs=gradients)


@pytest.mark.parametrize("vocabulary", [64, 4096], ids=["peak in a block", "peak at the loss"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("targets", [QV, "all-linear"])
def test_peak_of_a_training_step(tmp_path, vocabulary, checkpointing, targets):
    lora = {"targets": targets, "rank": 4, "dropout": 0.1}
    dimensions = sizes(lora, vocab_size=vocabulary)
    asked = setup(checkpointing=checkpointing)
    expected = memory.estimate(dimensions, asked)
    assert bool(expected.logits) is (vocabulary == 4096)
    gradients = expected.adapters // 2
    model = with_lora("none", lora, tmp_path / "model", vocab_size=vocabulary)
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    rows = batch(model)
    live = Live([*model.parameters(), *model.buffers(), *rows.values()])
    with live:
        model(**rows, use_cache=False).loss.backward()
    predicted = expected.activations + expected.logits + gradients
    # At the loss it is exact but for the gradients; in a block rather too much than too little.
    assert 0.99 < predicted / live.peak < (1.02 if expected.logits else 1.2)


def test_checkpointing_keeps_the_inputs_of_blocks(tmp_path):
    lora = {"targets": "all-linear", "rank": 2, "dropout": 0.1}
    shape = {"num_hidden_layers": 8, "vocab_size": 64}
    model = with_lora("none", lora, tmp_path / "model", **shape)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    rows = batch(model)
    live = Live([*model.parameters(), *model.buffers(), *rows.values()])
    with live:
        loss = model(**rows, use_cache=False).loss
    assert loss.requires_grad
    dimensions = sizes(lora, **shape)
    kept = memory.measured(dimensions, setup(checkpointing=True)).kept.of(BATCH)
    assert live.now == pytest.approx(kept + loss_saves(dimensions), rel=0.02)


@pytest.mark.parametrize("quantization", ["nf4", "none"])
def test_weights_are_as_large_as_estimated(tmp_path, quantization):
    shape = {"hidden_size": 256, "intermediate_size": 704}
    model = with_lora(quantization, {"targets": QV}, tmp_path / "model", **shape)
    base = [p for name, p in model.named_parameters() if "lora_" not in name]
    measured = sum(p.nbytes for p in base)
    for parameter in base:
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            measured += state.absmax.nbytes + state.state2.absmax.nbytes
    dimensions = sizes({"targets": QV}, **shape)
    predicted = memory.weight_bytes(dimensions, setup(quantization=quantization))
    assert predicted == pytest.approx(measured, rel=0.001)


def test_weights_under_gptq_follow_its_settings(mistral):
    def weight_bytes(*gptq):
        return memory.weight_bytes(mistral, setup(quantization="gptq", gptq=gptq))

    assert weight_bytes(4, 128) - weight_bytes(4, -1) == mistral.linear * 2.5 / 128
    assert weight_bytes(8, -1) - weight_bytes(4, -1) == mistral.linear / 2


def test_sizes_of_mistral_7b():
    config = json.loads((CONFIGS / "mistralai--Mistral-7B-v0.1.json").read_text())
    dimensions = model_dimensions(config, settings_model.Lora(rank=8, targets=QV), "experiments.x")
    assert dimensions.parameters == 7_241_732_096
    assert dimensions.trainable == 3_407_872  # 32 blocks × 8 × (4096 + 4096 + 4096 + 1024)
    assert dimensions.linear == 6_979_321_856  # all but the embedding, the output layer, the norms
    # What the index of the files on the hub says.
    assert planning_model.download_bytes(config, dimensions) == 14_483_464_192


def test_a_quantized_repository_is_a_smaller_download():
    config = json.loads((CONFIGS / "mistralai--Mistral-7B-v0.1.json").read_text())
    lora = settings_model.Lora(rank=8)
    config |= {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 128}}
    dimensions = model_dimensions(config, lora, "experiments.x")
    # 4.16 GB: TheBloke/Mistral-7B-v0.1-GPTQ, main.
    assert planning_model.download_bytes(config, dimensions) == pytest.approx(4.16e9, rel=0.01)


def test_targets_that_the_model_has_not():
    with pytest.raises(
        UserError, match=r"experiments\.x\.lora\.targets: no layer is called 'query'"
    ):
        sizes({"targets": ["query"]})


@pytest.mark.parametrize("source", sorted(CONFIGS.glob("*--*.json")), ids=lambda path: path.stem)
def test_configs_that_are_shipped_can_be_built(source):
    dimensions = model_dimensions(
        json.loads(source.read_text()),
        settings_model.Lora(targets="all-linear", rank=1),
        "x",
    )
    assert dimensions.trainable > 0


# ---------------------------------------------------------------- the optimizer


@pytest.mark.parametrize(
    ("name", "each"),
    [
        ("adamw_torch", 8),
        ("paged_adamw_32bit", 8),
        ("adamw_bnb_8bit", 2),
        ("paged_lion_8bit", 1),
        ("lion_32bit", 4),
        ("ademamix", 12),
        ("sgd", 0),
    ],
)
def test_bytes_of_the_optimizer(name, each):
    assert memory.optimizer_bytes(name) == pytest.approx(each, abs=0.1)


# ---------------------------------------------------------------- does it fit


def on_gpu(**changes) -> Setup:
    fields = {"quantization": "nf4", "on_gpu": True, "half": True, "row_length": 1024}
    return setup(**fields | changes)


def test_the_largest_batch_is_the_last_that_fits(mistral):
    room = gpus.KNOWN["A100-40GB"].memory
    largest = memory.largest_batch(mistral, on_gpu(), room)
    assert largest >= 2
    for rows, fits in ((largest, True), (largest + 1, False)):
        needed = memory.estimate(mistral, on_gpu(batch=Batch(rows, 1))).total
        assert (needed <= room) is fits


@pytest.mark.parametrize(
    ("batch", "largest", "expected"),
    [((6, 2), 5, (4, 3)), ((5, 1), 4, (1, 5)), ((4, 2), 8, (4, 2))],
)
def test_batches_of_equal_size(batch, largest, expected):
    assert Batch(*batch).at_most(min(largest, batch[0])) == Batch(*expected)
    assert Batch(*batch).at_most(0) is None


def test_a_smaller_batch_keeps_the_rows_of_a_step(mistral):
    asked = on_gpu(batch=Batch(6, 2))
    nearest = memory.nearest(mistral, asked, 22_000_000_000)
    assert nearest.batch.micro_batch_size < 6
    assert nearest.batch.rows == 12
    assert not nearest.checkpointing and nearest.quantization == "nf4"
    assert memory.estimate(mistral, nearest).total <= 22_000_000_000
    changes = " ".join(memory.changes(asked, nearest))
    assert f"batch_size: {nearest.batch.micro_batch_size}" in changes
    assert f"gradient_accumulation: {nearest.batch.gradient_accumulation_steps}" in changes


@pytest.mark.parametrize(
    ("room", "quantization", "changed"),
    [
        (9e9, "nf4", {"checkpointing"}),
        (14e9, "none", {"quantization"}),
        (9e9, "none", {"checkpointing", "quantization"}),
        (6.5e9, "none", {"checkpointing", "quantization"}),
        (5.1e9, "nf4", {"checkpointing", "row_length"}),
    ],
)
def test_what_else_is_changed_where_no_batch_fits(mistral, room, quantization, changed):
    asked = on_gpu(quantization=quantization, batch=Batch(1, 8))
    nearest = memory.nearest(mistral, asked, int(room), (512, 256, 128))
    assert memory.estimate(mistral, nearest).total <= room
    fields = ("checkpointing", "quantization", "row_length")
    assert {f for f in fields if getattr(nearest, f) != getattr(asked, f)} == changed


def test_nothing_fits_into_too_little(mistral):
    asked = on_gpu(batch=Batch(1, 1))
    assert memory.nearest(mistral, asked, 4_000_000_000, (512, 64)) is None
    verdict, advice, largest = planning._fit(mistral, asked, gpus.Gpu("tiny", 4 * 10**9, True))
    assert verdict == "does not fit" and largest == 0
    assert "nothing makes it fit" in advice[0]


def test_activation_checkpointing_saves_most(mistral):
    plain = memory.estimate(mistral, on_gpu())
    less = memory.estimate(mistral, on_gpu(checkpointing=True))
    assert less.activations < plain.activations / 4
    assert less.weights == plain.weights
    paged = memory.estimate(mistral, on_gpu(optimizer="paged_adamw_32bit"))
    assert (paged.total, paged.allocated) == (plain.total, plain.allocated - plain.optimizer)


# ---------------------------------------------------------------- GPUs


@pytest.mark.parametrize(
    "name", ["T4", "t4", "NVIDIA Tesla T4", "a100 80gb", "NVIDIA GeForce RTX 4090"]
)
def test_gpus_are_found_however_they_are_written(name):
    assert gpus.find(name)


def test_the_smallest_gpu_that_holds_it():
    assert gpus.smallest_with(15_000_000_000).name == "T4"
    assert gpus.smallest_with(10**15) is None
    assert not gpus.KNOWN["T4"].bf16


def test_the_machine_is_the_one_named_or_the_one_here():
    here = gpus.Gpu("here", 10**10, True)
    hardware = settings_model.Hardware
    assert planning.machine(hardware(), here)[0] is here
    assert planning.machine(hardware(), None)[0] is None
    assert planning.machine(hardware(gpu="T4"), here)[0].name == "T4"
    assert planning.machine(hardware(gpu="T4", memory_gb=12), here)[0].memory == 12 * 10**9
    assert planning.machine(hardware(memory_gb=12), None)[0].memory == 12 * 10**9


def test_a_gpu_that_nobody_knows(default_config):
    with pytest.raises(UserError, match=r"gpu: unknown GPU 'A10O-40GB' .*did you mean 'A100-40GB'"):
        load_settings(default_config | {"hardware": {"gpu": "A10O-40GB"}}, CONFIGS.parents[1])
    settings = load_settings(
        default_config | {"hardware": {"gpu": "A10O", "memory_gb": 20}}, CONFIGS.parents[1]
    )
    assert settings.hardware.memory_gb == 20


# ---------------------------------------------------------------- where config.json is from


@pytest.fixture
def offline(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    planning_model._fetch.cache_clear()


HUB = settings_model.HubModel(source="hub", id="mistralai/Mistral-7B-v0.1", revision="abc")


def test_config_of_the_hub(tmp_path, offline):
    folder = tmp_path / "results" / "model"
    config, origin, size = planning_model.model_config(HUB, folder, CONFIGS)
    assert (config["hidden_size"], origin, size) == (4096, "presets/configs", None)
    # What has been fetched comes first.
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"hidden_size": 8}')
    (folder / "a.safetensors").write_bytes(b"12345")
    config, origin, size = planning_model.model_config(HUB, folder, CONFIGS)
    assert (config["hidden_size"], origin, size) == (8, "fetched", 5)


def test_config_in_the_cache_of_the_hub(tmp_path, offline, monkeypatch):
    for name, text in (
        ("config.json", '{"hidden_size": 16}'),
        ("model.safetensors.index.json", '{"metadata": {"total_size": 99}}'),
    ):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(
        planning_model,
        "_cached",
        lambda id, file, revision: tmp_path / file if revision == "abc" else None,
    )
    config, origin, size = planning_model.model_config(HUB, tmp_path / "none", CONFIGS)
    assert (config["hidden_size"], origin, size) == (16, "the hub's cache", 99)


def test_a_config_that_is_nowhere(tmp_path, offline):
    with pytest.raises(UserError, match=r"config.json of 'a/b'.*HF_TOKEN"):
        planning_model.model_config(HUB.model_copy(update={"id": "a/b"}), tmp_path, CONFIGS)


def test_config_of_a_model_that_is_built_here_counts_as_the_model():
    shape = {"hidden_size": 48, "intermediate_size": 96, "layers": 2, "heads": 4, "kv_heads": 2}
    model = settings_model.PretrainModel(source="pretrain", corpus=["x"], architecture=shape)
    config, _, download = planning_model.model_config(model, Path("none"), CONFIGS)
    dimensions = model_dimensions(config, settings_model.Lora(rank=1), "x")
    same = tiny.model(
        vocab_size=1536,
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    assert dimensions.parameters == sum(p.numel() for p in same.parameters())
    assert download == 0


# ---------------------------------------------------------------- tokens and steps


FILES = Files(**{name: f"{name}.parquet" for name in Files.model_fields})
"""Below the folder of results."""


def experiment(task: dict | None = None, **changes) -> Planned:
    news = {"labels": ["a", "b"], "max_length": 64, "split": {"test": 10, "method": "random"}}
    fields = {
        **{"experiment": "x", "model_name": "m", "model": HUB, "task_name": "news"},
        "task": task_settings("classify", **news | (task or {})),
        "dataset": {"source": "file", "path": "news.csv"},
        **{"text": False, "paths": [], "quantization": "none", "lora": {}, "training": {}},
        **{"seeds": 1, "files": FILES},
    }
    return Planned(**fields | changes)


def records(path: Path, count: int, text: str) -> None:
    frame = pd.DataFrame({"row": range(1, count + 1), "text": text, "label": "a"})
    frame.to_parquet(path, index=False)


def test_tokens_are_exact_where_rows_are_packed(tmp_path):
    made = experiment()
    settings = stages.token_settings("news", made.task).model_dump(mode="json")
    packed = {"settings": settings, "tokens": 500, "rows": 9, "row_length": 60}
    (tmp_path / FILES.tokens).write_text(json.dumps(packed))
    amount = work.work(made, {}, tmp_path)
    assert (amount.tokens, amount.rows, amount.row_length, amount.how) == (500, 9, 60, "exact")
    # Rows that were packed under other settings say nothing.
    assert work.work(experiment({"max_length": 32}), {}, tmp_path).how == "unknown"


def test_tokens_from_records(tmp_path):
    records(tmp_path / FILES.records, 100, "x" * 87)
    amount = work.work(experiment(), {}, tmp_path)
    # 80 training documents of 87 characters, the prompt's 11 and the label's 2 with its space.
    assert amount.how == "estimated"
    assert amount.tokens == 80 * (100 / 4 + 2)
    assert amount.rows == 35  # 2160 / 0.98 / 64
    fewer = experiment({"split": {"test": 10, "max_records": 50}})
    assert work.work(fewer, {}, tmp_path).tokens == 35 * 27


def test_tokens_from_a_file_that_nothing_has_read_yet(tmp_path):
    path = tmp_path / "news.csv"
    pd.DataFrame({"text": ["x" * 87] * 100, "label": "a"}).to_csv(path, index=False)
    amount = work.work(experiment(paths=[str(path)]), {}, tmp_path)
    assert (amount.how, amount.tokens, amount.source) == ("estimated", 2160, str(path))


def test_of_given_splits_those_of_train_are_counted(tmp_path):
    for name, count in (("train", 100), ("test", 300)):
        frame = pd.DataFrame({"text": ["x" * 87] * count, "label": "a"})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    paths = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    dataset = {"source": "file", "path": paths}
    given = {"split": {"method": "random", "validation": 20}}
    made = experiment(given, dataset=dataset, paths=list(paths.values()))
    amount = work.work(made, {}, tmp_path)
    assert (amount.tokens, amount.test_records) == (80 * 27, None)
    half = {"split": {"method": "random", "validation": 20, "max_records": 200}}
    made = experiment(half, dataset=dataset, paths=list(paths.values()))
    assert work.work(made, {}, tmp_path).tokens == 30 * 27


def test_tokens_of_a_public_dataset(tmp_path):
    known = json.loads((CONFIGS / "datasets.json").read_text())
    dataset = {"source": "hub", "id": "fancyzhx/ag_news", "revision": "abc"}
    amount = work.work(experiment(dataset=dataset), known, tmp_path)
    assert amount.how == "estimated" and "fancyzhx/ag_news" in amount.source
    assert amount.tokens == pytest.approx((0.9 * 120_000 - 10) * (249 / 4 + 2), rel=0.01)


def test_tokens_are_bounded_by_the_number_of_records(tmp_path):
    split = {"validation": 10, "test": 10, "max_records": 100}
    unknown = {"source": "hub", "id": "some/body", "revision": "abc"}
    amount = work.work(experiment({"split": split}, dataset=unknown), {}, tmp_path)
    assert (amount.how, amount.rows, amount.tokens) == ("at most", 80, 80 * 64)
    amount = work.work(experiment(dataset=unknown), {}, tmp_path)
    assert amount.steps(settings_model.Training()) is None


@pytest.mark.parametrize(
    "address",
    [
        "https://www.gutenberg.org/cache/epub/84/pg84.txt",
        "https://www.gutenberg.org/files/84/84-0.txt",
        "https://www.gutenberg.org/ebooks/84.txt.utf-8",
    ],
)
def test_a_book_is_known_by_its_number(address):
    assert work._book(address) == "gutenberg.org/84"
    assert work._book("https://example.org/84/x.txt") == "https://example.org/84/x.txt"


def test_steps_are_those_of_the_training(tmp_path):
    """The same rows through the Trainer: its steps and its trainable parameters."""
    import test_train_train

    folder = tiny.saved(tmp_path / "model")
    rows = test_train_train.rows(20)
    for changes in (
        {"batch_size": 2, "gradient_accumulation": 1, "epochs": 1.5},
        {"batch_size": 1, "gradient_accumulation": 3, "epochs": 1},
        {"batch_size": 8, "epochs": None, "max_steps": 4},
    ):
        _, figures = test_train_train.run(folder, (rows, rows), tmp_path / "out", **changes)
        amount = work.Work(1, figures["rows"], figures["row_length"], "exact", "")
        assert amount.steps(settings_model.Training(**changes)) == figures["steps"]


# ---------------------------------------------------------------- presets


@pytest.mark.parametrize("preset", sorted(CONFIGS.parent.glob("*.yaml")), ids=lambda p: p.stem)
def test_presets_are_planned_with_nothing_but_the_project(preset, tmp_path, monkeypatch, offline):
    monkeypatch.chdir(tmp_path)
    flow = workflow.Flow(yaml.safe_load(preset.read_text()))
    messages: list[str] = []
    for here in (None, gpus.KNOWN["T4"]):
        table = planning.make(
            flow.params.plan(),
            CONFIGS.parent,
            tmp_path / "results",
            messages.append,
            lambda here=here: here,
        )
        assert len(table) == len(flow.experiments)
        small = preset.stem.startswith("smollm2")
        assert (table.parameters == (134_515_008 if small else 7_241_732_096)).all()
        assert (table.config_from == "presets/configs").all()
        assert (table.tokens_are == "estimated").all() and table.steps.notna().all()
        gpu = here or flow.settings.hardware.gpu
        assert (table.verdict == ("fits" if gpu else "needs a GPU")).all(), messages[-1]


# ---------------------------------------------------------------- the evaluation


def test_the_cache_of_mistral_7b(mistral):
    """Keys and values of 8 heads of 128 in each of 32 blocks, 2 bytes each."""
    growth = activations.measure_cache(mistral.model, activations.Way(64, False, True, True, "nf4"))
    assert growth.kept.each == pytest.approx(64 * 2 * 32 * 8 * 128 * 2, rel=0.01)
    assert growth.kept.fixed < 100_000


@pytest.mark.parametrize("kind", ["instruct", "classify", "prose"])
def test_an_evaluation_grows_with_what_it_reads(mistral, kind):
    given = {"labels": ["a", "b"], "split": {"test": 10, "method": "random"}}
    fields = {"instruct": {}, "classify": given, "prose": {}}[kind]

    def peak(length, rows, weights="auto"):
        settings = {"max_length": length, "evaluation": {"batch_size": rows}}
        task = task_settings(kind, **fields | settings)
        return evaluation.peak(mistral, on_gpu(), task, weights)

    weights = memory.weight_bytes(mistral, on_gpu())
    assert weights < peak(128, 1) < peak(256, 1) < peak(256, 8) < weights + 4e9
    # Seven billion parameters are dequantized only where that is asked for.
    more = peak(128, 1, "dequantized") - peak(128, 1)
    assert more == pytest.approx(2 * mistral.parameters - weights, rel=0.05)


# ---------------------------------------------------------------- the trial


def test_a_trial_trains_here_and_says_how_long_it_takes(tmp_path, offline):
    from deltatune.plan import trial

    config = tiny.model(**SHAPE | {"tie_word_embeddings": True}).config.to_dict()
    planned = experiment(training={"batch_size": 2, "gradient_accumulation": 2, "epochs": 3})
    messages = []
    trained = trial.run(planned, config, LENGTH, steps=6, say=messages.append)
    assert trained.seconds > 0 and trained.memory is None and trained.device == "CPU"
    assert (trained.kernels, trained.launches) == ("eager", "single")
    assert "6 steps on cpu" in messages[0]
    gptq = planned.model_copy(update={"quantization": "gptq"})
    assert trial.run(gptq, config, LENGTH, say=messages.append) is None


def test_a_trial_times_optimizer_steps_whatever_passes_they_have(offline, monkeypatch):
    """A hook of a forward pass would run while it is captured, and not when it is replayed."""
    from deltatune.plan import trial

    clock = trial.Clock()
    monkeypatch.setattr(trial, "Clock", lambda: clock)
    config = tiny.model(**SHAPE | {"tie_word_embeddings": True}).config.to_dict()
    planned = experiment(training={"batch_size": 1, "gradient_accumulation": 4, "epochs": 3})
    trial.run(planned, config, LENGTH, steps=5, say=lambda text: None)
    assert len(clock.times) == 5
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
    sgd.step()
    assert len(clock.times) == 5, "it goes on after the trial"


def test_where_training_begins_again_only_its_last_steps_are_timed(monkeypatch):
    from deltatune.plan import trial

    seconds = iter([0, 100, 200, 300, 400, 1000, 1050, 1060, 1062, 1066])
    monkeypatch.setattr(trial.time, "perf_counter", lambda: next(seconds))
    clock = trial.Clock()
    with clock.running():
        for _ in range(2):
            sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])
            for _ in range(5):
                sgd.step()
    assert clock.seconds() == 3


GEMMA = {"num_hidden_layers": 2, "head_dim": 16, "hidden_size": 64, "vocab_size": 300}
SHAPES = {
    "llama": SHAPE | {"tie_word_embeddings": True},
    "gemma3": {"text_config": GEMMA | {"intermediate_size": 64, "num_attention_heads": 4}},
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "vocab_size": 300},
    # It has buffers that are saved.
    "deepseek_v3": {
        **{"hidden_size": 64, "intermediate_size": 64, "moe_intermediate_size": 32},
        **{"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 4},
        **{"n_routed_experts": 8, "vocab_size": 300, "q_lora_rank": 16, "kv_lora_rank": 16},
        **{"num_experts_per_tok": 2, "n_group": 1, "topk_group": 1},
    },
}


@pytest.mark.parametrize("kind", SHAPES)
def test_random_weights_load_like_published_ones(tmp_path, kind):
    from deltatune.models import random_weights

    random_weights.write(tmp_path / "model", {"model_type": kind} | SHAPES[kind], "cpu")
    model = load_base(tmp_path / "model", "nf4", device.Compute("cpu", torch.float32, ""))
    embeddings = model.get_input_embeddings().weight
    assert (model.get_output_embeddings().weight is embeddings) or kind != "llama"
    assert float(embeddings.detach().std()) == pytest.approx(
        model.config.initializer_range, rel=0.05
    )
