"""The memory that a training process has on its GPU, and how it computes a step in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from datasets import Dataset

from deltatune.models import memory, micro_batch, oom, published
from deltatune.models.batch import Batch, Passes
from deltatune.models.device import Compute
from deltatune.models.dimensions import ModelDimensions, model_dimensions
from deltatune.models.probes import ask, separates_documents
from deltatune.models.quantization import count_parameters
from deltatune.tokens.shards import row_lengths
from deltatune.train import distributed
from deltatune.train.settings import TrainSettings


def passes(
    model: Any,
    settings: TrainSettings,
    compute: Compute,
    splits: Sequence[Dataset],
    jobs_per_gpu: int = 1,
) -> Passes:
    """How each process computes its rows of a step: chosen by `micro_batch.choose` on a GPU whose
    memory can be estimated, as set elsewhere. The same in all processes.

    model: the base as it was loaded, without an adapter. splits: rows of training, and of others
    that are evaluated as many at a time. jobs_per_gpu: how many jobs may use its GPU at a time.
    """
    training, processes = settings.training, distributed.world_size()
    batch = Batch(training.batch_size, training.gradient_accumulation).per_process(processes)
    automatic = training.activation_checkpointing == "auto"
    checkpointing = oom.use_checkpointing(
        training.activation_checkpointing, count_parameters(model), compute.device != "cpu"
    )
    as_set = partial(Passes, batch, checkpointing)
    free, packed = available(compute, jobs_per_gpu), ask(model, separates_documents)
    if why := micro_batch.why_as_set(free is not None, training.sharded, packed):
        return as_set(why)
    length = max(int(row_lengths(rows).max()) for rows in splits)
    try:
        dimensions, setup = _described(model, settings, batch, compute, length)
        memory.measured(dimensions, setup)
    except Exception as error:  # a model whose code reads what stands in a tensor
        return as_set(f"as set: memory cannot be estimated ({type(error).__name__}: {error})")
    room = min(distributed.all_gather(free + memory.weight_bytes(dimensions, setup)))
    rows = -(-len(splits[0]) // processes)
    chosen = micro_batch.choose(dimensions, setup, room, automatic=automatic, rows=rows)
    checkpointed = "with" if chosen.checkpointing else "without"
    print(
        f"micro-batch: {chosen.batch.micro_batch_size} rows in a forward pass, "
        f"{chosen.batch.gradient_accumulation_steps} passes a step, {checkpointed} activation "
        f"checkpointing ({chosen.reason})"
    )
    return chosen


def available(compute: Compute, jobs: int) -> int | None:
    """Bytes of the GPU for what is still to come, and what `memory.CONTEXT` counts; None where
    there is no GPU of CUDA or ROCm.

    jobs: of a GPU that several use at a time, an equal part, whatever the others take now.
    """
    device = compute.device
    if not device.startswith("cuda"):
        return None
    oom.release()
    free, total = torch.cuda.mem_get_info(device)
    reserved = torch.cuda.memory_reserved(device)
    whole = min(free + reserved + memory.CONTEXT[True], total // jobs)
    return whole - torch.cuda.memory_allocated(device)


def _described(
    model: Any, settings: TrainSettings, batch: Batch, compute: Compute, row_length: int
) -> tuple[ModelDimensions, memory.Setup]:
    """The same model without weights, and how it is trained."""
    config = model.config.to_dict()
    setup = memory.Setup(
        quantization=published.equivalent(config, settings.quantization),
        optimizer=settings.training.optimizer,
        batch=batch,
        row_length=row_length,
        checkpointing=settings.training.activation_checkpointing is True,
        on_gpu=True,
        half=compute.dtype is not torch.float32,
    )
    return model_dimensions(config, settings.lora, "experiments"), setup
