"""What a reader of the figures must know: codes with details, and the sentence for each code."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Why caution is needed. The values of the first three are the keys of a manifest's counts."""

    EMPTY = "empty"
    UNFINISHED = "unfinished"
    PROMPTS_CUT = "prompts_cut"
    BATCH_SIZES = "batch_sizes"
    TINY_MODEL = "tiny_model"
    METRIC = "metric"
    ONE_SEED = "one_seed"
    SEED_SPREAD = "seed_spread"
    FEW_EXAMPLES = "few_examples"
    FEW_CLUSTERS = "few_clusters"
    NO_LEAKAGE = "no_leakage"
    DUPLICATES = "duplicates"
    TRUNCATED = "truncated"


ANSWER_FAULTS = (Code.EMPTY, Code.UNFINISHED, Code.PROMPTS_CUT)
"""Faults that generate_answers counts in its manifest."""


@dataclass(frozen=True)
class Caveat:
    code: Code
    details: Mapping[str, Any]
    """Texts, counts, lists of names or a mapping: all that the code's sentence names."""

    @property
    def sentence(self) -> str:
        """Plain text, nothing escaped."""
        written = {name: _written(value) for name, value in self.details.items()}
        return SENTENCES[self.code].format_map(written)


SENTENCES = {
    Code.EMPTY: "{experiment}, {system}: {count} of {total} answers are empty.",
    Code.UNFINISHED: (
        "{experiment}, {system}: {count} of {total} answers were cut at max_new_tokens before "
        "they ended."
    ),
    Code.PROMPTS_CUT: (
        "{experiment}, {system}: {count} of {total} prompts did not fit the context and lost "
        "their beginning."
    ),
    Code.BATCH_SIZES: (
        "{experiment}: memory ran out, so base and tuned were evaluated with different batch "
        "sizes ({sizes}). In 4-bit or 16-bit precision that alone can change an answer; set the "
        "task's evaluation.batch_size to the smallest of them to rule it out."
    ),
    Code.TINY_MODEL: (
        "{model} is a tiny model, trained from scratch in this run: what it gains on these data "
        "says nothing of what a real model would gain."
    ),
    Code.METRIC: "{experiment} ({systems}): {text}.",
    Code.ONE_SEED: (
        "{experiment} was tuned with one seed: how much chance in training moves its result is "
        "not known."
    ),
    Code.SEED_SPREAD: (
        "{experiment} on {task}: {metric} varies over training seeds (SD {seed_sd}) by half of "
        "the difference or more ({delta})."
    ),
    Code.FEW_EXAMPLES: (
        "{task} was evaluated on {count} examples only: intervals of so few are rough."
    ),
    Code.FEW_CLUSTERS: (
        "{task} was evaluated on {clusters} only, each resampled as a whole: the interval and "
        "the p-value of so few are rough."
    ),
    Code.NO_LEAKAGE: (
        "Leakage, {tasks}: no test or validation record is a duplicate or near duplicate of a "
        "training record."
    ),
    Code.DUPLICATES: (
        "Leakage, {task}: {exact} duplicate and {near} near-duplicate rows were left out of the "
        "splits."
    ),
    Code.TRUNCATED: "{task}: {count} documents were longer than a row and were cut.",
}


def _written(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {inner}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value)
    return f"{value:,}"
