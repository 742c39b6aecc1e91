"""What `evaluation.backend` cannot do with other settings.

Whether vLLM is installed is asked by the jobs: their environment may be another than this one.
"""

from __future__ import annotations

from collections.abc import Iterator

from deltatune.config.model import Settings
from deltatune.config.problems import Problem
from deltatune.evaluate import vllm_settings


def backend_problems(settings: Settings) -> Iterator[Problem]:
    if settings.evaluation.backend != "vllm":
        return
    where = "evaluation.backend"
    if settings.evaluation.weights == "dequantized":
        yield Problem(
            where, "vllm takes the weights as trained; write `weights: auto` or `quantized`"
        )
    for name, task in settings.tasks.items():
        if getattr(task.evaluation, "sampling", None) is not None:
            yield Problem(
                f"tasks.{name}.evaluation.sampling",
                "with evaluation.backend: vllm answers are greedy; remove it, or write "
                "`backend: transformers`",
            )
    for name, experiment in settings.experiments.items():
        if message := vllm_settings.refusal(experiment.quantization, experiment.lora):
            yield Problem(f"experiments.{name}", f"{message}; write `backend: transformers`")
