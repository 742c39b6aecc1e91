"""Which training seeds a figure is of, in words: no figure of a tuned system stands without."""

from collections.abc import Sequence

NAMED = 4
"""The most seeds that are named one by one; beyond, they are counted."""


def aggregation(seeds: Sequence[int]) -> str:
    """'seed 1', 'mean over seeds 1, 2' or 'mean over 8 seeds'; 'seeds unknown' without any."""
    if not seeds:
        return "seeds unknown"
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"mean over {listed(seeds)}"


def listed(seeds: Sequence[int]) -> str:
    """'seed 1', 'seeds 1, 2' or '8 seeds'."""
    if len(seeds) > NAMED:
        return f"{len(seeds)} seeds"
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
