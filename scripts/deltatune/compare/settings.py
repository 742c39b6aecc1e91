"""What comparisons depend on, as types. Imports no statistics."""

from __future__ import annotations

from pydantic import Field

from deltatune.core.schema import Section, Seed
from deltatune.metrics.settings import MetricsSettings


class Inference(Section):
    confidence: float = Field(0.95, gt=0.5, le=0.999)
    """Confidence level of the intervals; 1 - confidence is the level of the tests."""
    resamples: int = Field(9999, ge=999, le=1_000_000)
    """Least number of permutations; more are drawn where the family of tests needs them."""
    seed: Seed = 0
    """Seed of the resampling."""


class ComparisonSettings(Section):
    """All that decides a comparison, the scores and the code apart: the params of
    `compare_systems`."""

    experiment: str
    task: str
    model: str
    seeds: list[Seed]
    """Of the tuned systems, in their order."""
    unit: str
    """What a metric scores one by one, in the plural."""
    metrics: MetricsSettings
    main_metric: str
    family: int
    """How many main tests the table adjusts for: the draws grow with it."""
    statistics: Inference


class AgainstBaselines(Section):
    """A comparison with each plain baseline of a task, by the main metric."""

    comparison: ComparisonSettings
    baselines: list[str]


class BaselinesSettings(Section):
    """The params of `compare_baselines`."""

    confidence: float
    experiments: list[AgainstBaselines]
    """The scores are inputs in the same order."""


class TableSettings(Section):
    """The params of `join_comparisons`."""

    confidence: float
    order: list[tuple[str, str]]
    """(experiment, task) of each comparison. Snakemake compares inputs as a set; here their order
    is that of the rows."""
