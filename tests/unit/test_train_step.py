"""How a step is computed: the rule, and each way that it chooses."""

from __future__ import annotations

import gc
from dataclasses import asdict, replace

import architectures_table as table
import pandas as pd
import pytest
import test_train_train
import test_train_trainer
import tiny
import torch
from datasets import Dataset
from deltatune.models import device, oom
from deltatune.models.architecture import architecture
from deltatune.models.batch import Batch
from deltatune.models.blocks import products
from deltatune.models.twin import twin
from deltatune.train import capture, kernels, losses, train, trainer, upstream
from deltatune.train.step import ADAMW, FUSED, PAGED, Computed, Run, Way, choose
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from test_train_train import BASE, hashes, rows, settings

pytestmark = pytest.mark.filterwarnings("ignore")

#: SmolLM2-135M on an H100: three epochs of 3,200 rows, 8 at a time.
SMALL = Run(
    optimizer="adamw_torch",
    quantization="nf4",
    strict=False,
    on_gpu=True,
    fp16=False,
    processes=1,
    trainable=4_900_000,
    free=75_000_000_000,
    parameters=135_000_000,
    blocks=30,
    has_experts=False,
    compiler=True,
    checkpointing=False,
    draws=False,
    products=0,
    spare=0,
    passes=1_200,
    tokens=8 * 512,
    selects_logits=True,
)
LARGE = replace(SMALL, parameters=7_000_000_000, trainable=42_000_000, blocks=32, tokens=16 * 2048)


def kinds(run: Run) -> tuple[str, ...]:
    computed = choose(run)
    return tuple(way["kind"] for way in asdict(computed).values())


@pytest.mark.parametrize("change", [{"on_gpu": False}, {"strict": True}])
@pytest.mark.parametrize("optimizer", [*ADAMW, "adafactor"])
def test_without_a_gpu_and_under_strict_all_is_as_it_is_named(change, optimizer):
    assert kinds(replace(SMALL, optimizer=optimizer, **change)) == (
        optimizer,
        "eager",
        "single",
        "all",
        "nothing",
    )


@pytest.mark.parametrize("optimizer", ADAMW)
@pytest.mark.parametrize(
    ("trainable", "free", "kind"),
    [
        (42_000_000, 11_000_000_000, FUSED),  # rank 16 of a 7B model, on a T4
        (336_000_000, 11_000_000_000, PAGED),  # rank 128
        (1_000_000_000, 64_000_000_000, FUSED),
        (1_000_000_001, 64_000_000_000, PAGED),
    ],
)
def test_adamw_is_fused_or_paged_by_the_memory_that_is_free(optimizer, trainable, free, kind):
    run = replace(SMALL, optimizer=optimizer, trainable=trainable, free=free)
    assert choose(run).optimizer.kind == kind


@pytest.mark.parametrize("optimizer", ["paged_adamw_8bit", "adafactor", "sgd", "lion_32bit"])
def test_other_optimizers_are_taken_as_named(optimizer):
    assert choose(replace(SMALL, optimizer=optimizer, free=0)).optimizer.kind == optimizer


def test_in_fp16_a_step_that_the_scaler_skips_is_no_step_of_the_schedule():
    named = [choose(replace(SMALL, optimizer=name, fp16=True)).optimizer.kind for name in ADAMW]
    assert named == list(ADAMW)


@pytest.mark.parametrize(
    ("run", "kind", "reason"),
    [
        (replace(SMALL, fp16=True), "compiled", "saves about 122 s of 1200 passes, 40 s of comp"),
        (replace(SMALL, fp16=True, passes=700), "eager", "compiling saves about 71 s of 700 pas"),
        # A captured pass waits for no launch, so compiling saves less of it.
        (SMALL, "eager", "compiling saves about 16 s of 1200 passes"),
        (replace(SMALL, passes=12_000), "compiled", "saves about 159 s of 12000 passes"),
        # A pass of a large model takes longer, so fewer of them pay.
        (replace(LARGE, passes=150), "compiled", "saves about 89 s"),
        (replace(SMALL, quantization="int8"), "eager", "layers in int8 wait"),
        (replace(SMALL, quantization="gptq"), "eager", "layers in gptq wait"),
        (replace(SMALL, processes=2), "eager", "several processes"),
        (replace(SMALL, has_experts=True), "eager", "each expert of a mixture"),
        (replace(SMALL, blocks=0), "eager", "transformers does not say which blocks"),
        (replace(SMALL, tokens=0), "eager", "rows differ in length"),
        (replace(LARGE, compiler=False), "eager", "torch.compile is switched off"),
    ],
)
def test_blocks_are_compiled_where_that_pays(run, kind, reason):
    chosen = choose(run).kernels
    assert chosen.kind == kind and chosen.reason.startswith(reason)


@pytest.mark.parametrize(
    ("run", "kind", "reason"),
    [
        (SMALL, "captured", "passes are short: 5.5e+11 parameters times tokens in a pass"),
        (replace(LARGE, tokens=4 * 512), "captured", "passes are short"),
        (replace(LARGE, tokens=4 * 2048), "single", "passes are long"),
        (replace(SMALL, passes=39), "single", "a run of 39 passes is short"),
        (replace(SMALL, checkpointing=True, draws=True), "single", "recomputing activations"),
        (replace(SMALL, fp16=True), "single", "in fp16"),
        (replace(SMALL, selects_logits=False), "single", "the model's class"),
        (replace(SMALL, quantization="int8"), "single", "layers in int8 wait"),
        (replace(SMALL, processes=2), "single", "several processes"),
        (replace(SMALL, has_experts=True), "single", "each expert of a mixture"),
        (replace(SMALL, tokens=0), "single", "rows differ in length"),
    ],
)
def test_passes_are_captured_where_they_are_short(run, kind, reason):
    chosen = choose(run).launches
    assert chosen.kind == kind and chosen.reason.startswith(reason)


@pytest.mark.parametrize(
    ("run", "kind", "reason"),
    [
        (LARGE, "nothing", "no activation checkpointing"),
        (replace(LARGE, checkpointing=True, on_gpu=False), "blocks", "activation checkpointing"),
        (replace(LARGE, checkpointing=True), "blocks", "activation checkpointing"),
        (replace(LARGE, checkpointing=True, products=9, spare=9), "rest", "the products with"),
        (replace(LARGE, checkpointing=True, products=9, spare=8), "blocks", "the products with"),
        (
            replace(SMALL, checkpointing=True, products=9, spare=9, passes=1),
            "blocks",
            "activation checkpointing",
        ),
    ],
)
def test_compiled_blocks_keep_products_beside_checkpointing_where_there_is_room(run, kind, reason):
    chosen = choose(run).recomputed
    assert chosen.kind == kind and chosen.reason.startswith(reason)


def test_what_was_chosen_stands_in_manifest_and_log_and_in_a_checkpoint():
    computed = choose(replace(SMALL, selects_logits=False))
    figures = computed.figures()
    assert set(figures) == {
        f"{name}_{what}"
        for name in ("optimizer", "kernels", "launches", "logits", "recomputed")
        for what in ("used", "reason")
    }
    assert all(text in computed.text() for text in figures.values())
    assert Computed.read(asdict(computed)) == computed


@pytest.mark.parametrize(
    ("where", "determinism", "expected"),
    [("cpu", "auto", True), ("cpu", "strict", True), ("cuda:0", "strict", True),
     ("cuda:0", "auto", False)],
)  # fmt: skip
def test_deterministic_algorithms_are_left_out_on_a_gpu_alone(where, determinism, expected):
    device.prepare(0, 1)
    try:
        machine = device.Compute(where, torch.float32, "a test")
        assert kernels.choose_algorithms(determinism, machine) is expected
        assert torch.are_deterministic_algorithms_enabled() is expected
    finally:
        torch.use_deterministic_algorithms(True, warn_only=True)


# ---------------------------------------------------------------- logits of some tokens


def test_a_loss_that_is_more_than_that_of_tokens_takes_all_logits():
    """Of those that the classes give, tests/unit/test_models_architectures.py asks all."""
    kind, sizes = table.ARCHITECTURES["Mixtral"]
    made_of = architecture({"model_type": kind, **sizes, "output_router_logits": True})
    assert not losses.selects_logits(twin(made_of.config, made_of.attention))


def test_places_are_those_before_a_supervised_token():
    labels = torch.tensor([[3, -100, 5, -100], [-100, 7, -100, 8]])
    assert losses.supervised_places(labels).tolist() == [1, 4, 6]
    # What fills them up is none: here the place before the second token of the first row.
    assert losses.supervised_places(labels, 5).tolist() == [1, 4, 6, 0, 0]
    assert losses.supervised_places(labels[:, ::2], 2).tolist() == [0, 2]
    # Padding rows have no label; there is a loss all the same, of 0.
    none = torch.full((2, 3), -100)
    places = losses.supervised_places(none)
    assert places.tolist() == [0]
    logits = torch.randn(1, 1, 5, requires_grad=True)
    loss = losses.token_loss(logits, none, None, 4, places)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


def test_weights_are_those_of_the_places():
    torch.manual_seed(0)
    logits, weights = torch.randn(2, 5, 7), torch.rand(2, 5)
    labels = torch.tensor([[1, -100, 3, 4, -100], [-100, 2, 2, -100, 6]])
    places = losses.supervised_places(labels)
    some = logits.flatten(0, 1)[places][None]
    expected = losses.token_loss(logits, labels, weights, 5)
    assert losses.token_loss(some, labels, weights, 5, places) == pytest.approx(expected)
    places = losses.supervised_places(labels, 8)
    some = logits.flatten(0, 1)[places][None]
    assert len(places) == 8
    assert losses.token_loss(some, labels, weights, 5, places) == pytest.approx(expected)


def test_the_most_supervised_tokens_of_so_many_rows():
    """The first token of a row is none that is predicted."""
    labels = [[1, -100, 3], [-100, -100, -100], [4, 5, 6]]
    made = Dataset.from_dict({"labels": labels})
    assert [losses.most_supervised(made, count) for count in (1, 2, 3)] == [2, 3, 3]
    assert losses.most_supervised(made.select([1]), 2) == 1


# ---------------------------------------------------------------- training in each way


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def data():
    return rows(20), rows(6, seed=1)


def way(
    optimizer="adamw_torch", kernels_="eager", launches="single", logits="all", recomputed="nothing"
) -> Computed:
    kinds = (optimizer, kernels_, launches, logits, recomputed)
    return Computed(*(Way(kind, "a test") for kind in kinds))


def run(monkeypatch, folder, data, output, computed, **changes):
    """(losses, figures, messages) of a run that is computed so."""
    monkeypatch.setattr(kernels, "choose", lambda *arguments: computed)
    messages: list[str] = []
    changes = {"lora": {"dropout": 0.0}, "quantization": "none", **changes}
    frame, figures = test_train_train.run(folder, data, output, say=messages.append, **changes)
    return frame, figures, messages


@pytest.fixture(scope="module")
def plain(folder, data, tmp_path_factory):
    """Folder and losses of a run without any of it."""
    output = tmp_path_factory.mktemp("plain") / "adapter"
    with pytest.MonkeyPatch.context() as patch:
        return output, run(patch, folder, data, output, way())[0]


@pytest.fixture
def graphs(monkeypatch):
    """Blocks are compiled by a backend that runs what it is given; whether gradients were enabled
    then, for each graph."""
    seen: list[bool] = []

    def backend(graph, inputs):
        seen.append(torch.is_grad_enabled())
        return graph.forward

    torch.compiler.reset()
    monkeypatch.setattr(kernels, "BACKEND", backend)
    yield seen
    torch.compiler.reset()


@pytest.mark.parametrize("recomputed", ["nothing", "rest", "blocks"])
@pytest.mark.parametrize("launches", ["single", "captured"])
def test_each_way_trains_the_same_adapter(
    monkeypatch, folder, data, tmp_path, plain, graphs, launches, recomputed
):
    output, expected = plain
    # What is recorded on a GPU is done again here.
    monkeypatch.setattr(capture, "repeated", lambda run: run)
    computed = way(FUSED, "compiled", launches, "supervised", recomputed)
    changes = {"activation_checkpointing": recomputed != "nothing"}
    frame, figures, _ = run(monkeypatch, folder, data, tmp_path / "adapter", computed, **changes)
    pd.testing.assert_frame_equal(frame, expected, atol=1e-5)
    assert figures.items() >= computed.figures().items()
    # The names of a plain adapter, and what is measured between the steps was not compiled.
    weights, others = (
        load_file(f / "adapter_model.safetensors") for f in (output, tmp_path / "adapter")
    )
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-4)
    assert graphs and all(graphs)


@pytest.mark.parametrize("recomputed", ["nothing", "blocks"])
def test_where_nothing_compiles_training_starts_without(
    monkeypatch, folder, data, tmp_path, plain, recomputed
):
    def backend(graph, inputs):
        raise RuntimeError("Failed to find C compiler.\nPlease specify via CC.")

    torch.compiler.reset()
    monkeypatch.setattr(kernels, "BACKEND", backend)
    frame, figures, messages = run(
        *(monkeypatch, folder, data, tmp_path / "adapter"),
        way(kernels_="compiled", recomputed=recomputed),
        activation_checkpointing=recomputed != "nothing",
    )
    torch.compiler.reset()
    output, expected = plain
    assert hashes(tmp_path / "adapter") == hashes(output)
    pd.testing.assert_frame_equal(frame, expected, check_exact=True)
    (message,) = messages
    assert message.startswith("passes cannot be computed as chosen") and "C compiler" in message
    assert figures["kernels_used"] == "eager" and "C compiler" in figures["kernels_reason"]


def with_adapter():
    chosen = {"target_modules": "all-linear", "init_lora_weights": False, "lora_dropout": 0.0}
    return get_peft_model(tiny.model(), LoraConfig(r=2, lora_alpha=4, **chosen))


def test_blocks_that_are_computed_again_are_compiled_below_their_checkpoint(graphs):
    """Each is a graph without a checkpoint in it, and gradients are those of the plain model."""
    torch.manual_seed(0)
    model = with_adapter()
    ids = torch.randint(3, 50, (2, 12))

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        return [p.grad for p in model.parameters() if p.grad is not None]

    model.train()
    expected = gradients()
    model.get_base_model().gradient_checkpointing_enable({"use_reentrant": False})
    kernels.compile_blocks(model, "blocks")
    for one, other in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert graphs


def test_a_job_compiles_unless_a_variable_forbids_it(monkeypatch):
    for name in ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    assert upstream.compiles()
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    assert not upstream.compiles()


def test_the_products_of_a_block_are_those_of_the_base_but_the_last():
    model = with_adapter()
    config = model.config
    heads = config.hidden_size // config.num_attention_heads * config.num_key_value_heads
    # Of the queries and the attention, of keys and values, of gate and up.
    outputs = 2 * config.hidden_size + 2 * heads + 2 * config.intermediate_size
    assert products(model, 10, 2) == config.num_hidden_layers * outputs * 2 * 10


def test_an_error_of_memory_is_none_of_compiling():
    kernels.require_way(torch.OutOfMemoryError("out of memory"), True)
    kernels.require_way(RuntimeError("anything"), False)
    with pytest.raises(kernels.WayFailed, match="RuntimeError: anything"):
        kernels.require_way(RuntimeError("anything\nmore"), True)


def test_a_run_that_resumes_goes_on_as_it_began(monkeypatch, folder, data, tmp_path):
    monkeypatch.setattr(test_train_trainer.checkpoints.SaveTimer, "expired", lambda self: True)
    monkeypatch.setattr(kernels, "choose", lambda *arguments: way(FUSED, logits="supervised"))
    changes = {"quantization": "none"}
    expected = test_train_trainer.run(folder, data, tmp_path / "whole" / "adapter", **changes)
    saved = test_train_trainer.opened(tmp_path)
    test_train_trainer.cut(monkeypatch, folder, data, tmp_path / "adapter", saved, 3, **changes)
    monkeypatch.setattr(kernels, "choose", lambda *arguments: pytest.fail("chosen again"))
    resumed = test_train_trainer.run(folder, data, tmp_path / "adapter", saved, **changes)
    test_train_trainer.assert_same(resumed, expected)
    assert resumed[2]["optimizer_used"] == FUSED and resumed[2]["logits_used"] == "supervised"


def test_the_facts_of_a_run_are_those_of_its_model(folder):
    machine, model = test_train_train.base(folder, "none")
    asked = settings({"batch_size": 2}, quantization="none")
    model = train.adapters.with_lora(model, asked.lora, 0, BASE)
    assert [type(block).__name__ for block in kernels.blocks(model)] == ["MistralDecoderLayer"] * 2
    steps = train._steps(20, train.Passes(Batch(2, 2), False, "as set"), asked.training)
    computed = kernels.choose(model, asked, machine, steps, 32)
    assert computed.kernels == Way("eager", "no GPU of CUDA")
    gpu = device.Compute("cuda:0", torch.bfloat16, "a test")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "mem_get_info", lambda name: (10**9, 2 * 10**9))
        computed = kernels.choose(model, asked, gpu, steps, 32)
    assert (computed.optimizer.kind, computed.logits.kind) == (FUSED, "supervised")
    assert "30 passes" in computed.kernels.reason


def test_dropout_is_seen_wherever_it_is(folder):
    _, model = test_train_train.base(folder, "none")
    assert not kernels.draws_numbers(model)
    for share in (0.0, 0.1):
        lora = settings({}, lora={"dropout": share}).lora
        tuned = train.adapters.with_lora(test_train_train.base(folder, "none")[1], lora, 0, BASE)
        assert kernels.draws_numbers(tuned) is (share > 0)
    model.model.layers[1].self_attn.attention_dropout = 0.1
    assert kernels.draws_numbers(model)


def test_captured_passes_add_up_gradients_where_they_stay(monkeypatch):
    """Of passes alike, behind a gradient of another origin, and again after none."""
    runs: list[int] = []

    def recorded(run):
        # A capture runs what it records, and nothing of that may remain.
        run()
        return run

    monkeypatch.setattr(capture, "repeated", recorded)
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))

    def run(inputs, tokens):
        runs.append(1)
        loss = (weight * inputs["values"]).sum() / tokens
        loss.backward()
        return loss.detach()

    batch = {"values": torch.tensor([3.0, 5.0])}
    passes = capture.CapturedPasses(run, [weight], batch, torch.tensor(2))
    assert weight.grad is None and runs == [1]
    assert passes(batch, torch.tensor(2)).item() == 6.5
    place = weight.grad
    loss = passes({"values": torch.tensor([1.0, 1.0])}, torch.tensor(1))
    assert weight.grad is place and place.tolist() == [2.5, 3.5] and loss.item() == 3
    weight.grad = torch.tensor([10.0, 20.0])
    passes(batch, torch.tensor(1))
    assert weight.grad is place and place.tolist() == [13.0, 25.0]
    weight.grad = None
    assert passes(batch, torch.tensor(1)).item() == 13 and weight.grad.tolist() == [3.0, 5.0]
    assert loss.item() == 3, "a loss is not overwritten by the next"


def test_where_a_pass_cannot_be_captured_training_starts_without(
    monkeypatch, folder, data, tmp_path, plain
):
    def refused(run):
        run()
        raise RuntimeError("operation not permitted when stream is capturing")

    def trainings():
        gc.collect()
        kinds = capture.CapturedPasses, trainer.AdapterTrainer
        return [o for o in gc.get_objects() if isinstance(o, kinds)]

    def release():
        remaining.append([o for o in trainings() if not any(o is other for other in before)])

    before = trainings()
    remaining: list[list] = []
    monkeypatch.setattr(capture, "repeated", refused)
    monkeypatch.setattr(oom, "release", release)
    computed = way(launches="captured")
    _, figures, (message,) = run(monkeypatch, folder, data, tmp_path / "adapter", computed)
    assert remaining == [[]], "the failed attempt takes memory, or it is not released"
    assert hashes(tmp_path / "adapter") == hashes(plain[0])
    assert "not permitted" in message and figures["launches_used"] == "single"
