"""The memory that the evaluation of a tuned system takes, at most."""

from __future__ import annotations

from deltatune.evaluate import batches
from deltatune.models import memory
from deltatune.models.activations import Way, measure_cache
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.memory import FP32, Setup
from deltatune.tasks.base import TaskSettings, lengths


def peak(dimensions: ModelDimensions, setup: Setup, task: TaskSettings) -> int:
    """Bytes at the peak, as torch counts them: base, adapter in fp32, the key-value cache of a full
    batch of the longest prompts, and logits.

    Labels share the cache of their prompt, which is repeated for each of them. Of texts, all logits
    of a batch are there at once, and those of one row in fp64, twice, while they are scored.
    """
    asked, tokens = task.evaluation, lengths(task)
    width, labels = tokens["window"] or task.max_length, len(getattr(task, "labels", None) or (1,))
    token = batches.cache_bytes(dimensions.model.config)
    rows = batches.batch_rule(
        asked.batch_size,
        lambda: [width],
        lambda width: token * (width + tokens["max_new_tokens"]),
        on_gpu=setup.on_gpu,
    ).batch_size
    rows = min(rows, getattr(asked, "max_examples", None) or rows)
    way = Way(width, False, setup.on_gpu, setup.half, setup.quantization)
    growth = measure_cache(dimensions.model, way)
    cache, beyond = growth.kept.of(rows), growth.backward.of(rows)
    logits = dimensions.vocabulary * (setup.compute_bytes + FP32)
    answers = cache * (width + tokens["max_new_tokens"]) // width * labels + rows * labels * logits
    text = 0
    if tokens["window"]:
        text = dimensions.vocabulary * width * (rows * setup.compute_bytes + 2 * 8)
    weights = memory.weight_bytes(dimensions, setup) + FP32 * dimensions.trainable
    if setup.quantization != "none":
        beyond += setup.compute_bytes * dimensions.largest_linear
    return weights + max(answers, text) + beyond
