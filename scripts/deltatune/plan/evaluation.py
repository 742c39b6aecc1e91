"""The memory that the evaluation of a tuned system takes, at most."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deltatune.core.evaluated_with import DEQUANTIZED
from deltatune.evaluate import batches, label_passes, likelihood, weights
from deltatune.evaluate.settings import Weights
from deltatune.models import memory
from deltatune.models.activations import Activations, Way, measure_cache
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.logits import AT_ONCE
from deltatune.models.memory import FP32, Setup
from deltatune.models.probes import ask
from deltatune.tasks.base import TaskSettings, lengths

FP64 = 8


def peak(dimensions: ModelDimensions, setup: Setup, task: TaskSettings, setting: Weights) -> int:
    """Bytes at the peak, as torch counts them: base, adapter in fp32, and the largest batch. setup:
    of the training. setting: `evaluation.weights`."""
    chosen = weights.choose(setting, setup.quantization, dimensions.parameters, setup.on_gpu)
    if chosen.used == DEQUANTIZED:
        setup = replace(setup, quantization="none")
    is_text = hasattr(task.evaluation, "windows")
    width = (lengths(task)["window"] if is_text else 0) or task.max_length
    growth = measure_cache(
        dimensions.model, Way(width, False, setup.on_gpu, setup.half, setup.quantization)
    )
    parts = [_labels if hasattr(task, "labels") else _answers, *([_windows] if is_text else [])]
    base = memory.weight_bytes(dimensions, setup) + FP32 * dimensions.trainable
    if setup.quantization != "none":
        base += setup.compute_bytes * dimensions.largest_linear
    return base + max(part(dimensions, setup, task, width, growth) for part in parts)


def _answers(
    dimensions: ModelDimensions, setup: Setup, task: Any, width: int, growth: Activations
) -> int:
    """The cache of prompts and answers, and logits of their last tokens."""
    new, token = lengths(task)["max_new_tokens"], batches.cache_bytes(dimensions.model.config)
    rows = _rows(setup, task, width, lambda width: token * (width + new))
    cache = growth.kept.of(rows) * (width + new) // width
    return cache + growth.backward.of(rows) + rows * _logits(dimensions, setup)


def _labels(
    dimensions: ModelDimensions, setup: Setup, task: Any, width: int, growth: Activations
) -> int:
    """A forward pass and logits of its last tokens. Where a model cannot read prompts and labels in
    one pass, the cache of a prompt is repeated for each label."""
    token, labels = batches.forward_bytes(dimensions.model.config), len(task.labels or (1,))
    rows = _rows(setup, task, width, lambda width: token * width)
    one_pass = ask(dimensions.model, label_passes.reads_label_trees)
    cache = 0 if one_pass else growth.kept.of(rows) * labels
    return cache + growth.backward.of(rows) + rows * labels * _logits(dimensions, setup)


def _windows(
    dimensions: ModelDimensions, setup: Setup, task: Any, width: int, growth: Activations
) -> int:
    """A forward pass, its logits, and some of these twice in fp64."""
    config = dimensions.model.config
    token = batches.forward_bytes(config) + batches.logits_bytes(config)
    rows = _rows(setup, task, width, lambda width: token * width, likelihood.WINDOWS_ON_CPU)
    logits = dimensions.vocabulary * width
    scored = rows * logits * setup.compute_bytes + 2 * FP64 * min(logits, AT_ONCE)
    return growth.backward.of(rows) + scored


def _rows(
    setup: Setup,
    task: TaskSettings,
    width: int,
    row_bytes: batches.RowBytes,
    on_cpu: int = batches.ON_CPU,
) -> int:
    """Rows of a batch, all of which are as long as can be."""
    asked: Any = task.evaluation
    on_gpu = setup.on_gpu
    rule = batches.batch_rule(
        asked.batch_size, lambda: [width], row_bytes, on_gpu=on_gpu, on_cpu=on_cpu
    )
    return min(rule.batch_size, getattr(asked, "max_examples", None) or rule.batch_size)


def _logits(dimensions: ModelDimensions, setup: Setup) -> int:
    """Bytes of a token's logits, also in fp32."""
    return dimensions.vocabulary * (setup.compute_bytes + FP32)
