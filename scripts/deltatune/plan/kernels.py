"""By which kernels a training will be computed, asked of the function that training asks."""

from __future__ import annotations

import torch

from deltatune.models import memory as memory_model
from deltatune.models.batch import Passes
from deltatune.models.device import DTYPES, Compute
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.gpus import Gpu
from deltatune.models.memory import Setup
from deltatune.models.probes import ask, separates_documents
from deltatune.plan.settings import Planned
from deltatune.plan.work import Work
from deltatune.train import kernels
from deltatune.train.data import Steps
from deltatune.train.settings import Base, TrainSettings
from deltatune.train.step import Computed


def choose(
    experiment: Planned,
    sizes: ModelDimensions,
    setup: Setup,
    passes: Passes,
    gpu: Gpu,
    amount: Work,
) -> Computed:
    """How the steps of an experiment will be computed on a GPU that it has for itself.

    setup: how it is trained, with these passes. Where the number of rows is not known yet, it is
    taken to be that of one step.
    """
    training = experiment.training
    settings = TrainSettings(
        model=experiment.model_name,
        quantization=experiment.quantization,
        lora=experiment.lora,
        training=training,
        seed=0,
        base=Base(name=experiment.model_name, revision=None),
    )
    asked = DTYPES.get(training.precision)
    compute = Compute("cuda:0", asked or (torch.bfloat16 if gpu.bf16 else torch.float16), gpu.name)
    rows = amount.rows or passes.batch.rows * training.gpus
    length = {"epochs": training.epochs, "max_steps": training.max_steps}
    steps = Steps(rows, passes, training.gpus, evaluations=training.evaluations, **length)
    alike = experiment.task.packing and ask(sizes.model, separates_documents)
    taken = memory_model.weight_bytes(sizes, setup) + memory_model.FP32 * sizes.trainable
    free = gpu.memory - taken - memory_model.CONTEXT[True]
    row_length = amount.row_length if alike else 0
    return kernels.choose(sizes.model, settings, compute, steps, row_length, max(1, free))
