"""What a run will take, printed before anything is downloaded or trained.

A model's sizes come from its config.json (`models.dimensions`), tokens and steps from the records
(`plan.work`), the memory from arithmetic (`models.memory`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from deltatune.config.model import Hardware, HubModel
from deltatune.core.text import file_size
from deltatune.models import gpus, micro_batch, oom, probes, published
from deltatune.models import memory as memory_model
from deltatune.models.architecture import architecture
from deltatune.models.batch import Batch, Passes
from deltatune.models.dimensions import ModelDimensions, model_dimensions
from deltatune.models.gpus import Gpu
from deltatune.models.memory import Setup
from deltatune.models.quantization import require_quantized
from deltatune.models.settings import Lora
from deltatune.plan import evaluation
from deltatune.plan import power as power_model
from deltatune.plan.model import download_bytes, model_config, tokenizer_folder
from deltatune.plan.power import Power
from deltatune.plan.settings import Planned, PlanSettings
from deltatune.plan.table import Estimate, frame, render
from deltatune.plan.work import Work, work
from deltatune.tasks.base import lengths
from deltatune.tokens import context, vocabulary
from deltatune.tokens.tokenizer import load_tokenizer
from deltatune.train.settings import Training

if TYPE_CHECKING:
    from deltatune.plan.trial import Trial
    from deltatune.train.step import Computed

# ---------------------------------------------------------------- the machine


def machine(hardware: Hardware, present: Gpu | None) -> tuple[Gpu | None, str]:
    """The GPU to plan for, and how it was chosen.

    present: the GPU of this machine.
    """
    named = gpus.find(hardware.gpu) if hardware.gpu else None
    gpu = named or present
    how = "named under hardware" if named else "the one here"
    if hardware.memory_gb:
        name = hardware.gpu or (present.name if present else "a GPU")
        bf16 = gpu.bf16 if gpu else True
        gpu, how = Gpu(name, round(hardware.memory_gb * 1e9), bf16), "named under hardware"
    return gpu, how if gpu else "there is no GPU here, and hardware.gpu names none"


def present() -> Gpu | None:
    """The first GPU of this machine."""
    import torch

    if not torch.cuda.is_available():
        return None
    device = torch.cuda.get_device_properties(0)
    # As in `models.device`: older cards only emulate bf16.
    return Gpu(device.name, device.total_memory, device.major >= 8)


# ---------------------------------------------------------------- one experiment


def row(
    experiment: Planned,
    gpu: Gpu | None,
    known: Mapping[str, Any],
    shipped: Path,
    results: Path,
    settings: PlanSettings,
    say: Callable[[str], None],
) -> Estimate:
    """Plan one experiment of the settings.

    gpu: what to fit into, or None. known: sizes of public data sets. shipped: folder with configs
    of public models. results: see `make`.
    """
    where = f"experiments.{experiment.experiment}"
    model, training = experiment.model, experiment.training
    config, origin, exact = model_config(model, results / experiment.files.model, shipped)
    sizes = _dimensions(config, experiment.lora, where, f"models.{experiment.model_name}")
    _refuse(config, origin, sizes, experiment, results)
    amount = work(experiment, known, results)
    asked = _as_set(experiment, config, sizes, amount, gpu)
    passes = _passes(sizes, asked, gpu, training, amount)
    setup = replace(asked, batch=passes.batch, checkpointing=passes.checkpointing)
    computed = _computed(experiment, sizes, setup, passes, gpu, amount)
    setup = _as_computed(setup, computed)
    memory = memory_model.estimate(sizes, setup)
    verdict, advice, largest = _fit(sizes, setup, gpu)
    if gpu and not gpu.bf16 and training.precision == "bf16":
        advice.append(f"training.precision: {gpu.name} has no bf16; write auto or fp16")
    return Estimate(
        experiment=experiment.experiment,
        model=model.id if isinstance(model, HubModel) else experiment.model_name,
        config_from=origin,
        sizes=sizes,
        download=download_bytes(config, sizes) if exact is None else exact,
        download_exact=exact is not None,
        work=amount,
        steps=amount.steps(training),
        steps_exact=amount.how == "exact" or training.max_steps is not None,
        seeds=experiment.seeds,
        asked=asked.batch,
        setup=setup,
        reason=passes.reason,
        computed=computed,
        memory=memory,
        largest_batch=largest,
        verdict=verdict,
        advice=(*advice, *_remarks(setup)),
        power=_power(experiment, amount, results, settings),
        evaluation=evaluation.peak(sizes, setup, experiment.task, settings.weights),
        merging=sizes.parameters * setup.compute_bytes,
        trial=_trial(experiment, config, amount.row_length, computed, say)
        if settings.hardware.trial
        else None,
    )


def _as_set(
    experiment: Planned,
    config: Mapping[str, Any],
    sizes: ModelDimensions,
    amount: Work,
    gpu: Gpu | None,
) -> Setup:
    """How each process trains by the settings alone."""
    model, training = experiment.model, experiment.training
    # A model that is built here is trained on the CPU where there is no GPU.
    on_gpu = gpu is not None or model.source != "pretrain"
    checkpointing = training.activation_checkpointing
    return Setup(
        quantization=published.equivalent(config, experiment.quantization),
        optimizer=training.optimizer,
        batch=Batch(training.batch_size, training.gradient_accumulation).per_process(training.gpus),
        row_length=amount.row_length,
        checkpointing=oom.use_checkpointing(checkpointing, sizes.parameters, on_gpu),
        on_gpu=on_gpu,
        half=on_gpu and training.precision != "fp32",
        gptq=(model.gptq.bits, model.gptq.group_size) if model.gptq else (4, 128),
    )


def _passes(
    sizes: ModelDimensions, asked: Setup, gpu: Gpu | None, training: Training, amount: Work
) -> Passes:
    """How a process will compute a step, as `train.memory` chooses it where it is trained."""
    packed = probes.ask(sizes.model, probes.separates_documents)
    why = micro_batch.why_as_set(asked.on_gpu, training.sharded, packed)
    if why is None and gpu is None:
        why = "here as set; the GPU's memory decides where it is trained"
    if why:
        return Passes(asked.batch, asked.checkpointing, why)
    written = training.activation_checkpointing
    rows = asked.batch.rows if amount.rows is None else -(-amount.rows // training.gpus)
    asked = replace(asked, checkpointing=written is True)
    return micro_batch.choose(sizes, asked, gpu.memory, automatic=written == "auto", rows=rows)


_known: dict[tuple[str, str], ModelDimensions] = {}


def _dimensions(
    config: Mapping[str, Any], lora: Lora, where: str, model_where: str
) -> ModelDimensions:
    """`model_dimensions`, once for all experiments of one shape: what activations take is
    measured once then, too."""
    shape = json.dumps(config, sort_keys=True), lora.model_dump_json(exclude={"alpha"})
    if shape not in _known:
        _known[shape] = model_dimensions(config, lora, where, model_where)
    return _known[shape]


def _computed(
    experiment: Planned,
    sizes: ModelDimensions,
    setup: Setup,
    passes: Passes,
    gpu: Gpu | None,
    amount: Work,
) -> Computed | None:
    """By which kernels; None without a GPU. The libraries of training take seconds to be
    imported."""
    if gpu is None or not setup.on_gpu:
        return None
    from deltatune.plan import kernels

    return kernels.choose(experiment, sizes, setup, passes, gpu, amount)


def _as_computed(setup: Setup, computed: Computed | None) -> Setup:
    """The setup with what its kernels take."""
    if computed is None:
        return setup
    return replace(
        setup,
        optimizer=computed.optimizer.kind,
        compiled=computed.kernels.kind == "compiled",
        keeps_products=computed.recomputed.kind == "rest",
    )


def _trial(
    experiment: Planned,
    config: Mapping[str, Any],
    row_length: int,
    computed: Computed | None,
    say: Callable[[str], None],
) -> Trial | None:
    """Of some steps here, by the kernels of the whole run."""
    from deltatune.plan import trial

    return trial.run(experiment, config, row_length, computed=computed, say=say)


def _refuse(
    config: Mapping[str, Any],
    origin: str,
    sizes: ModelDimensions,
    experiment: Planned,
    results: Path,
) -> None:
    """Raise UserError for what the model of a config.json cannot do, as the run would."""
    name, where = experiment.model_name, f"experiments.{experiment.experiment}.quantization"
    model, quantization = architecture(config, f"models.{name}"), experiment.quantization
    for task, asked in {experiment.task_name: experiment.task, **experiment.others}.items():
        context.check(config, name, task, **lengths(asked))
    published.check(config, quantization, f"models.{name}", where)
    place = results / experiment.files.model
    if folder := tokenizer_folder(experiment.model, place, origin):
        vocabulary.check(load_tokenizer(folder), config, name)
    probes.require(model, f"models.{name}")
    if quantization in ("nf4", "int8"):
        require_quantized(sizes.quantizable, quantization, model.name, where)
        probes.require_quantizable(model, quantization, where)


def _power(experiment: Planned, amount: Work, results: Path, settings: PlanSettings) -> Power:
    """What the comparison can show. Prose is measured in windows, which are not known before."""
    asked = experiment.task.evaluation
    examples = amount.test_records if hasattr(asked, "max_examples") else None
    if examples is not None and asked.max_examples is not None:
        examples = min(examples, asked.max_examples)
    return power_model.power(experiment, examples, settings, results / "comparison.csv")


def _fit(
    sizes: ModelDimensions, setup: Setup, gpu: Gpu | None
) -> tuple[str, list[str], int | None]:
    """(verdict, advice, largest batch)."""
    needed = memory_model.estimate(sizes, setup).total
    if not setup.on_gpu:
        return "on the CPU", [], None
    if gpu is None:
        smallest = gpus.smallest_with(needed)
        name = "more than one GPU has"
        if smallest:
            name = f"{smallest.name} ({file_size(smallest.memory)}) or larger"
        return "needs a GPU", [f"needs a GPU with {file_size(needed)}: {name}"], None
    largest = memory_model.largest_batch(sizes, setup, gpu.memory)
    if needed <= gpu.memory:
        return "fits", [], largest
    shorter = [setup.row_length // 2**n for n in range(1, 8)]
    lengths = tuple(length for length in shorter if length >= 64)
    nearest = memory_model.nearest(sizes, setup, gpu.memory, lengths)
    if nearest is None:
        least = replace(setup, batch=Batch(1, 1), checkpointing=True, quantization="nf4")
        needed = memory_model.estimate(sizes, least).total
        other = gpus.smallest_with(needed)
        name = f" ({other.name} or larger)" if other else ""
        advice = f"nothing makes it fit: even one row in nf4 needs {file_size(needed)}{name}"
        return "does not fit", [advice], largest
    advice = ", ".join(memory_model.changes(setup, nearest))
    peak = memory_model.estimate(sizes, nearest).total
    advice += f": then {file_size(peak)}, the same rows per step"
    if nearest != replace(setup, batch=nearest.batch):
        return "does not fit", [advice], largest
    # Training finds it by itself, but only by running out of memory first.
    return "fits in smaller batches", [f"{advice} (training comes to that by itself)"], largest


def _remarks(setup: Setup) -> list[str]:
    remarks = []
    if "paged" in setup.optimizer and setup.on_gpu:
        remarks.append("the paged optimizer state may move to the CPU's memory")
    return remarks


def make(
    settings: PlanSettings,
    presets: Path,
    results: Path,
    say: Callable[[str], None],
    gpu_here: Callable[[], Gpu | None] = present,
) -> pd.DataFrame:
    """Plan all experiments, print the table, and return it as numbers.

    presets: the folder with configs/. results: the folder that the files of the settings, and the
    table of an earlier run, lie in if they are there.
    """
    configs = presets / "configs"
    known = json.loads((configs / "datasets.json").read_text(encoding="utf-8"))
    gpu, how = machine(settings.hardware, gpu_here())
    rows = [row(one, gpu, known, configs, results, settings, say) for one in settings.experiments]
    say(render(rows, gpu, how))
    return frame(rows)
