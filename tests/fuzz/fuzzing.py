"""How often the properties are tried: `FUZZ=50 pytest tests/fuzz` tries each fifty times as often.

In an ordinary run the examples are always the same, so that a failure belongs to a change.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

FACTOR = int(os.environ.get("FUZZ", "1"))
PROPERTIES: dict[str, int] = {}
"""Property -> how many examples of it an ordinary run tries."""


def fuzz(examples: int, **strategies: SearchStrategy) -> Callable[[Callable], Any]:
    """A test that holds for each of so many examples of the strategies."""

    def decorate(test: Callable) -> Any:
        PROPERTIES[f"{test.__module__}.{test.__name__}"] = examples
        wanted = settings(
            max_examples=examples * FACTOR,
            derandomize=FACTOR == 1,
            database=None,
            deadline=None,
            # Explaining a failure costs more than finding it.
            phases=[Phase.explicit, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        return wanted(given(**strategies)(test))

    return decorate
