"""What a reader of the figures must know: codes with details, and their sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Each member: its value, and the sentence that its details complete."""

    sentence: str

    def __new__(cls, value: str, sentence: str) -> Code:
        code = str.__new__(cls, value)
        code._value_, code.sentence = value, sentence
        return code

    # Keys of the counts in the manifest of generate_answers.
    EMPTY = "empty", "{experiment}, {system}: {count} of {total} answers are empty."
    UNFINISHED = (
        "unfinished",
        "{experiment}, {system}: {count} of {total} answers were cut at max_new_tokens before "
        "they ended.",
    )
    PROMPTS_CUT = (
        "prompts_cut",
        "{experiment}, {system}: {count} of {total} prompts did not fit the context and lost "
        "their beginning.",
    )
    # Of a run.
    BATCH_SIZES = (
        "batch_sizes",
        "{experiment}: memory ran out, so base and tuned were evaluated with different batch "
        "sizes ({sizes}). In 4-bit or 16-bit precision that alone can change an answer; set the "
        "task's evaluation.batch_size to the smallest of them to rule it out.",
    )
    TINY_MODEL = (
        "tiny_model",
        "{model} is a tiny model, trained from scratch in this run: what it gains on these data "
        "says nothing of what a real model would gain.",
    )
    METRIC = "metric", "{experiment} ({systems}): {text}."
    # Of a comparison.
    ONE_SEED = (
        "one_seed",
        "{experiment} was tuned with one seed: how much chance in training moves its result is "
        "not known.",
    )
    SEED_SPREAD = (
        "seed_spread",
        "{experiment} on {task}: {metric} varies over training seeds (SD {seed_sd}) by half of "
        "the difference or more ({delta}).",
    )
    FEW_EXAMPLES = (
        "few_examples",
        "{task} was evaluated on {count} examples only: intervals of so few are rough.",
    )
    FEW_CLUSTERS = (
        "few_clusters",
        "{task} was evaluated on {clusters} only, each resampled as a whole: the interval and "
        "the p-value of so few are rough.",
    )
    # Of the data. Keys of `leakage` in the manifest of split_dataset: data.reasons.Leak.
    REPEATED_PROMPT = (
        "repeated_prompt",
        "Leakage, {task}: {count} of {total} test prompts ({share}) stand in the training data "
        "with another answer; `split.group` with the columns of the prompt would keep equal "
        "prompts in one split.",
    )
    CONTAINED = (
        "contained",
        "Leakage, {task}: {count} of {total} test records ({share}) are contained in a training "
        "record, with {least} of their word 3-grams or more.",
    )
    REPEATED_ANSWER = (
        "repeated_answer",
        "Leakage, {task}: {count} of {total} test references ({share}) stand verbatim among the "
        "training outputs, so repeating outputs of the training data can be right.",
    )
    NO_LEAKAGE = (
        "no_leakage",
        "Leakage, {tasks}: no test or validation record repeats a training record ({tested}).",
    )
    DUPLICATES = (
        "duplicates",
        "Leakage, {task}: {exact} duplicate and {near} near-duplicate rows were left out of the "
        "splits ({tested}).",
    )
    EXACT_DUPLICATES = (
        "exact_duplicates",
        "Leakage, {task}: {exact} duplicate rows were left out of the splits ({tested}).",
    )
    TRUNCATED = "truncated", "{task}: {count} documents were longer than a row and were cut."


LEAKS = (Code.REPEATED_PROMPT, Code.CONTAINED, Code.REPEATED_ANSWER)
ANSWER_FAULTS = (Code.EMPTY, Code.UNFINISHED, Code.PROMPTS_CUT)


def tested(threshold: float | None) -> str:
    """What duplicates were looked for. threshold: `split.near_duplicates`."""
    if threshold is None:
        return "exact alone"
    return f"exact; word 3-gram Jaccard ≥ {threshold:g}"


@dataclass(frozen=True)
class Caveat:
    code: Code
    details: Mapping[str, Any]
    """Texts, counts, lists of names or a mapping: all that the code's sentence names."""

    def __str__(self) -> str:
        """Plain text, nothing escaped."""
        return self.code.sentence.format_map(
            {name: _written(value) for name, value in self.details.items()}
        )


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return f"{value:,}"
