"""What each figure depends on, as types: what its caption says is among them. Draws nothing."""

from __future__ import annotations

from deltatune.core.schema import Section, Seed


class LossesSettings(Section):
    """The params of `plot_losses`."""

    experiment: str
    seeds: list[Seed]


class DifferencesSettings(Section):
    """The params of `plot_differences`: of the main metric of a task."""

    metric: str
    title: str
    higher_is_better: bool
    unit: str
    """What the metric scores one by one, in the plural."""
    seeds: list[Seed]


class ConfusionSettings(Section):
    """The params of `plot_confusion`."""

    seeds: list[Seed]


class ForestSettings(Section):
    """The params of `plot_forest`."""

    titles: dict[str, str]
    """Metric -> its title."""
    higher_is_better: dict[str, bool]
    """Metric -> its direction."""
    seeds: list[Seed]
    tests: int
    """How many main tests the table adjusts for."""
    confidence: float
