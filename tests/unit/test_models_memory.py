"""Training in the memory and the precision that there is."""

import json
import weakref

import pytest
import tiny
import torch
from deltatune.core.errors import UserError
from deltatune.evaluate import generate, label_likelihood, likelihood
from deltatune.models import device, memory, oom, quantization
from deltatune.models.batch import Batch
from deltatune.models.load import load_base, load_system
from deltatune.train import distributed
from deltatune.train import memory as training_memory
from deltatune.train import train as training
from deltatune.train.losses import mean_loss
from safetensors.torch import load_file
from test_train_train import hashes, rows, settings

pytestmark = pytest.mark.filterwarnings("ignore")
CPU = device.Compute("cpu", torch.float32, "a test")
HALF = device.Compute("cpu", torch.bfloat16, "a test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny.saved(tmp_path_factory.mktemp("base") / "model")


@pytest.fixture(scope="module")
def data():
    return rows(26), rows(6, seed=1)


def run(folder, data, output, *, change=None, quantization="nf4", machine=CPU, lora=None, **rest):
    """(losses, figures) of few steps. change: called with the loaded base. rest: of training, or
    base, revision and say."""
    model = load_base(folder, quantization, machine)
    if change:
        change(model)
    named = {key: rest.pop(key) for key in ("revision", "base") if key in rest}
    say = rest.pop("say", print)
    changes = {"epochs": 2, "learning_rate": 1e-2, "batch_size": 4, "evaluations": 2, **rest}
    trained = training.train(
        model,
        *data,
        settings(changes, lora=lora, quantization=quantization, **named),
        machine,
        output=output,
        scratch=output.with_name("scratch"),
        progress=lambda text: None,
        say=say,
    )
    return trained.losses, trained.figures


def out_of_memory_above(most, error, after=0):
    """A model that cannot take more than `most` rows in training, from a forward pass on."""
    seen = []

    def change(model):
        def check(module, args, kwargs):
            ids = kwargs["input_ids"]
            if module.training and len(ids) > most:
                seen.append(len(ids))
                if len(seen) > after:
                    raise error

        model.register_forward_pre_hook(check, with_kwargs=True)

    return change


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize(
    ("error", "after"),
    [(torch.cuda.OutOfMemoryError("CUDA out of memory."), 0), (MemoryError(), 3)],
)
def test_what_does_not_fit_becomes_the_run_with_half_the_batch(
    folder, data, tmp_path, error, after
):
    """Bit for bit: the steps before the failure leave nothing behind."""
    messages = []
    change = out_of_memory_above(2, error, after)
    losses, figures = run(
        folder, data, tmp_path / "a" / "adapter", change=change, say=messages.append
    )
    asked = {"batch_size": 2, "gradient_accumulation": 2}
    expected, other = run(folder, data, tmp_path / "b" / "adapter", say=pytest.fail, **asked)
    assert hashes(tmp_path / "a" / "adapter") == hashes(tmp_path / "b" / "adapter")
    assert losses.equals(expected)
    assert (figures["batch_size_used"], figures["gradient_accumulation_used"]) == (2, 2)
    assert (other["batch_size_used"], other["gradient_accumulation_used"]) == (2, 2)
    assert figures["steps"] == other["steps"]
    assert len(messages) == 1
    assert "training.batch_size" in messages[0] and "gradient_accumulation 2" in messages[0]


def test_one_row_that_does_not_fit_gives_advice(folder, data, tmp_path):
    messages = []
    with pytest.raises(UserError, match=r"training\.batch_size.*one row at a time.*max_length"):
        run(
            folder,
            data,
            tmp_path / "adapter",
            change=out_of_memory_above(0, MemoryError()),
            say=messages.append,
        )
    assert ["batch_size 2" in messages[0], "batch_size 1 " in messages[1], len(messages)] == [
        True,
        True,
        2,
    ]
    assert not (tmp_path / "adapter").exists()


def test_other_errors_stop_at_once(folder, data, tmp_path):
    with pytest.raises(RuntimeError, match="size mismatch"):
        run(
            folder,
            data,
            tmp_path / "adapter",
            change=out_of_memory_above(2, RuntimeError("size mismatch")),
            say=pytest.fail,
        )


def test_a_step_sees_the_same_rows_in_smaller_pieces(folder, data, tmp_path):
    """Every supervised token weighs the same, whichever piece it is in."""
    losses = [
        run(
            folder,
            data,
            tmp_path / str(size) / "adapter",
            quantization="none",
            lora={"dropout": 0},
            batch_size=size,
            gradient_accumulation=4 // size,
        )[0]
        for size in (4, 2, 1)
    ]
    for other in losses[1:]:
        assert other["step"].tolist() == losses[0]["step"].tolist()
        assert other["loss"].to_numpy() == pytest.approx(losses[0]["loss"].to_numpy(), abs=2e-4)
    assert losses[0]["loss"].iloc[-2] < losses[0]["loss"].iloc[0] - 0.05


def test_rows_of_a_step_in_one_pass_are_the_step_in_one_pass(
    folder, data, tmp_path, monkeypatch, capsys
):
    """With memory for all of them; and the gradients of a step do not depend on its passes."""
    monkeypatch.setattr(training_memory, "available", lambda compute, jobs: 10**12)
    fields = {"lora": {"dropout": 0}, "quantization": "none", "optimizer": "sgd"}
    fields |= {"epochs": None, "max_steps": 1, "warmup": 0, "max_grad_norm": 1e9}
    divided = {"batch_size": 1, "gradient_accumulation": 4}
    _, figures = run(folder, data, tmp_path / "chosen" / "adapter", **fields, **divided)
    assert (figures["batch_size_used"], figures["gradient_accumulation_used"]) == (4, 1)
    assert figures["batch_size_reason"].startswith("all that a step has: ")
    assert "micro-batch: 4 rows in a forward pass, 1 passes a step" in capsys.readouterr().out
    monkeypatch.undo()
    _, figures = run(folder, data, tmp_path / "set" / "adapter", **fields)
    assert figures["batch_size_reason"] == "as set: memory is asked for on a GPU alone"
    assert hashes(tmp_path / "chosen" / "adapter") == hashes(tmp_path / "set" / "adapter")
    run(folder, data, tmp_path / "divided" / "adapter", **fields, **divided)
    one, four = (
        load_file(tmp_path / name / "adapter" / "adapter_model.safetensors")
        for name in ("set", "divided")
    )
    # B begins at 0, so after one step it is the gradient times the learning rate.
    for name in (name for name in one if "lora_B" in name):
        torch.testing.assert_close(one[name], four[name], rtol=1e-4, atol=1e-8)
        assert one[name].abs().max() > 0


def test_what_several_processes_have_together_is_the_least_of_them(folder, data, monkeypatch):
    """And of what fits into it, no more."""
    model, asked = load_base(folder, "none", CPU), settings({"batch_size": 4}, quantization="none")
    described = training_memory._described(model, asked, Batch(2, 2), CPU, 32)
    need = memory.estimate(*described).total / 0.9 + 1
    rooms = iter([10**12, need, need])
    monkeypatch.setattr(training_memory, "available", lambda compute, jobs: 10**12)
    monkeypatch.setattr(distributed, "all_gather", lambda value: [value, next(rooms)])
    one, two, three = (training_memory.passes(model, asked, CPU, data) for _ in range(3))
    assert (one.batch, one.checkpointing) == (Batch(4, 1), False)
    # Neither all rows fit nor 2,048 tokens, so activations are recomputed, and all fit.
    assert (two.batch, two.checkpointing) == (Batch(4, 1), True) and two == three
    sharded = settings({"batch_size": 4, "gpus": 2, "sharded": True}, quantization="none")
    assert training_memory.passes(model, sharded, CPU, data).batch == Batch(4, 1)
    monkeypatch.setattr(training_memory, "_described", lambda *given: 1 / 0)
    left = training_memory.passes(model, asked, CPU, data)
    assert left.batch == Batch(4, 1) and "cannot be estimated (ZeroDivisionError" in left.reason


def test_a_gpu_that_several_jobs_use_is_divided_among_them(monkeypatch):
    gpu = device.Compute("cuda:0", torch.bfloat16, "a test")
    sizes = {"mem_get_info": (60 * 10**9, 80 * 10**9)}
    sizes |= {"memory_reserved": 6 * 10**9, "memory_allocated": 5 * 10**9}
    for name, value in sizes.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)

    assert (
        training_memory.available(gpu, 1)
        == 60 * 10**9 + 6 * 10**9 + memory.CONTEXT[True] - 5 * 10**9
    )
    assert training_memory.available(gpu, 4) == 80 * 10**9 // 4 - 5 * 10**9
    assert training_memory.available(CPU, 1) is None


@pytest.mark.parametrize("asked", [True, False, "auto"])
def test_checkpointing_changes_the_memory_and_not_the_result(folder, data, tmp_path, asked):
    calls = []

    def count(model):
        block = model.model.layers[0]
        block.mlp.register_forward_pre_hook(lambda *a: calls.append(1) if block.training else None)

    _, figures = run(
        folder, data, tmp_path / "adapter", change=count, activation_checkpointing=asked
    )
    run(folder, data, tmp_path / "plain" / "adapter", activation_checkpointing=False)
    assert hashes(tmp_path / "adapter") == hashes(tmp_path / "plain" / "adapter")
    # A tiny model on a CPU is never checkpointed by itself.
    assert figures["activation_checkpointing_used"] is (asked is True)
    batches = 2 * -(-len(data[0]) // 4)
    assert len(calls) == batches * (2 if asked is True else 1)


def test_checkpointing_keeps_no_inputs_of_8_bit_layers(folder, data, tmp_path, monkeypatch):
    """bitsandbytes keeps them beside what torch knows of, which checkpointing does not reach. What
    it uses on a GPU, MatMul8bitLt, does the same."""
    from bitsandbytes.autograd import _functions

    alive, most = weakref.WeakSet(), []
    forward = _functions.MatMul8bitFp.forward

    def counting(ctx, *arguments):
        alive.add(ctx)
        most.append(len(alive))
        return forward(ctx, *arguments)

    monkeypatch.setattr(_functions.MatMul8bitFp, "forward", staticmethod(counting))
    results = {}
    for asked in (True, False):
        most.clear()
        output = tmp_path / str(asked) / "adapter"
        losses, _ = run(folder, data, output, quantization="int8", activation_checkpointing=asked)
        results[asked] = max(most), losses["loss"].tolist()
    # Seven layers of each of the two blocks.
    assert results[True][0] <= 7 < results[False][0]
    assert results[True][1] == pytest.approx(results[False][1], abs=1e-5)


@pytest.mark.parametrize("how", ["answers", "windows", "labels"])
def test_an_evaluation_that_does_not_fit_is_that_with_half_the_batch(folder, how):
    model, tokenizer = load_base(folder, "none", CPU), tiny.tokenizer()
    quiet = {"progress": lambda text: None}

    def evaluate(size):
        if how == "answers":
            return generate.answer(
                model, tokenizer, tiny.TEXTS, max_new_tokens=3, batch_size=size, **quiet
            )
        if how == "windows":
            parts = likelihood.windows(" ".join(tiny.TEXTS), tokenizer, 16)
            return likelihood.score_windows(
                model, tokenizer, parts, batch_size=size, **quiet
            ).tolist()
        labels = [" one", " two of them"]
        return label_likelihood.score_completions(
            model, tokenizer, tiny.TEXTS, labels, max_length=40, batch_size=size, **quiet
        ).ended.tolist()

    expected = evaluate(2)

    def check(module, args, kwargs):
        if len(kwargs["input_ids"]) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    model.register_forward_pre_hook(check, with_kwargs=True)
    messages = []
    scores, used = oom.evaluate(evaluate, 5, where="tasks.x", say=messages.append)
    assert (scores, used, len(messages)) == (expected, 2, 1)


# ---------------------------------------------------------------- precision


@pytest.mark.parametrize("quantization", ["nf4", "none"])
@pytest.mark.parametrize("whole", [None, ["lm_head"]])
def test_what_is_trained_is_fp32_beside_a_base_in_half_precision(
    folder, data, tmp_path, quantization, whole
):
    kept = []
    losses, _ = run(
        folder,
        data,
        tmp_path / "adapter",
        change=kept.append,
        quantization=quantization,
        machine=HALF,
        lora={"modules_to_save": whole},
    )
    assert kept[0].model.embed_tokens.weight.dtype is torch.bfloat16
    trained = {n: p.dtype for n, p in kept[0].named_parameters() if p.requires_grad}
    assert set(trained.values()) == {torch.float32}
    assert any("lm_head" in name for name in trained) is bool(whole)
    saved = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}
    train = losses[losses["split"] == "train"]["loss"].tolist()
    assert train[-1] < train[0]
    tuned = load_system(folder, quantization, HALF, tmp_path / "adapter")
    last = losses["loss"].iloc[-1]
    assert mean_loss(tuned, data[1], 4) == pytest.approx(last, abs=0.02)


def test_a_base_that_gives_no_number_is_told_apart(folder, data, tmp_path):
    def break_(model):
        model.model.norm.weight.data.fill_(float("nan"))

    with pytest.raises(UserError, match=r"train loss of the base.*weights"):
        run(folder, data, tmp_path / "adapter", change=break_)


# ---------------------------------------------------------------- optimizers


def test_the_paged_optimizer_is_adamw_on_a_cpu(folder, data, tmp_path):
    """It has the same state in the same precision; only its place differs, on a GPU."""
    losses = [
        run(folder, data, tmp_path / name / "adapter", optimizer=name)[0]["loss"].to_numpy()
        for name in ("paged_adamw_32bit", "adamw_torch")
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[0][-2] < losses[0][0]


@pytest.mark.parametrize("name", ["lomo", "galore_adamw", "adamw_torch_npu_fused"])
def test_an_optimizer_that_is_not_available_is_named(folder, data, tmp_path, name):
    with pytest.raises(UserError, match=rf"training\.optimizer: {name} cannot be used here: \w+"):
        run(folder, data, tmp_path / "adapter", optimizer=name)


# ---------------------------------------------------------------- bases


@pytest.mark.parametrize("quantization", ["int8", "nf4"])
def test_gradients_pass_a_quantized_layer_after_an_evaluation(folder, quantization):
    """Kernels for inference have no gradient, and some take the weights over for good."""
    ids = torch.tensor([tiny.tokenizer()(text)["input_ids"][:12] for text in tiny.TEXTS])
    quantized = load_base(folder, quantization, CPU)
    if quantization == "nf4":
        # 4 bits move the gradient itself; what they stand for must have the same.
        plain = load_base(folder, "nf4", CPU).dequantize()
    else:
        plain = load_base(folder, "none", CPU)
    gradients = []
    for model in (quantized, plain):
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)
        embedded = model.train().get_input_embeddings()(ids).detach().requires_grad_()
        model(inputs_embeds=embedded, labels=ids, use_cache=False).loss.backward()
        gradients.append(embedded.grad.flatten())
    alike = torch.nn.functional.cosine_similarity(*gradients, dim=0).item()
    assert alike > {"int8": 0.99, "nf4": 0.99999}[quantization]


def test_int8_holds_the_linear_layers_in_8_bits(folder, data, tmp_path):
    kept = []
    losses, _ = run(folder, data, tmp_path / "adapter", change=kept.append, quantization="int8")
    assert kept[0].model.layers[0].mlp.up_proj.weight.dtype is torch.int8
    assert kept[0].lm_head.weight.dtype is torch.float32
    train = losses[losses["split"] == "train"]["loss"].tolist()
    assert train[-1] < train[0]


def test_the_adapter_names_a_base_of_the_hub_with_its_revision(folder, data, tmp_path):
    name, revision = "mistralai/Mistral-7B-v0.1", "27d67f1b5f57dc0953326b2601d68371d40ea8da"
    run(folder, data, tmp_path / "adapter", base=name, revision=revision)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == (name, revision)
    load_system(folder, "nf4", CPU, tmp_path / "adapter")


def test_gptq_without_its_packages_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"gptqmodel and optimum.*requirements-gptq\.txt"):
        load_base(folder, "gptq", CPU)
