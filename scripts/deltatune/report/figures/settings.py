"""What each figure depends on, as types: what its caption says is among them. Draws nothing."""

from __future__ import annotations

from deltatune.core.schema import Section, Seed


class LossesSettings(Section):
    """The params of `plot_losses`."""

    experiment: str
    seeds: list[Seed]


class DifferencesSettings(Section):
    """The params of `plot_differences`: of the main metric of a task."""

    experiment: str
    metric: str
    title: str
    higher_is_better: bool
    unit: str
    """What the metric scores one by one, in the plural."""
    seeds: list[Seed]


class ConfusionSettings(Section):
    """The params of `plot_confusion`."""

    experiment: str
    seeds: list[Seed]


class ForestSettings(Section):
    """The params of `plot_forest`."""

    titles: dict[str, str]
    """Metric -> its title."""
    seeds: list[Seed]
    tests: int
    """How many main tests comparison.csv adjusts for."""
    other_tests: int
    """The same of cross_task.csv; 0 where there is none."""
    confidence: float
