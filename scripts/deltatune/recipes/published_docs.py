"""docs/recipes.md, written from the presets and from what is known of the recipes that they follow.

`python -m deltatune.recipes.published_docs` in scripts/ rewrites it; a test fails when it is old.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from deltatune.config.load import load_settings
from deltatune.config.model import Published
from deltatune.core.paths import ROOT
from deltatune.recipes import here
from deltatune.recipes.published import RECIPES, Recipe

PAGE = ROOT / "docs" / "recipes.md"
NOT_STATED = "not stated"
INTRODUCTION = """# The published recipes

Five recipes that were published with Mistral-7B, and the preset of each: every hyper-parameter as
it was published, and as the preset has it, defaults included. What no source states is so named,
and is then this pipeline's own. A difference is told in `published.differs` of the preset, and in
the report of its run. Every preset is planned for the recipe's GPU, a T4 with 16 GB.

This page is generated: `cd scripts && python -m deltatune.recipes.published_docs`.
"""


def page() -> str:
    return "\n".join([INTRODUCTION, *(_section(name, recipe) for name, recipe in RECIPES.items())])


def ours(name: str) -> tuple[dict[str, str], Published]:
    """The values of a preset's first experiment, and what it says of the published one."""
    text = (ROOT / "presets" / f"{name}.yaml").read_text(encoding="utf-8")
    settings = load_settings(yaml.safe_load(text), ROOT)
    experiment = next(iter(settings.experiments.values()))
    return here.values(settings, experiment), experiment.published


def write(path: Path = PAGE) -> None:
    path.write_text(page(), encoding="utf-8")


def _section(name: str, recipe: Recipe) -> str:
    values, published = ours(name)
    lines = [
        f"## {recipe.title}\n",
        f"`presets/{name}.yaml`. {recipe.source}" + f" <{recipe.url}>" * bool(recipe.url) + "\n",
        "| | theirs | here |",
        "|---|---|---|",
    ]
    for key, title in here.PARAMETERS.items():
        known = recipe.values.get(key)
        lines.append(f"| {title} | {known.value if known else NOT_STATED} | {values[key]} |")
    for metric, figure in published.metrics.items():
        base, tuned = (NOT_STATED if f is None else f"{f:g}" for f in (figure.base, figure.tuned))
        lines.append(f"| figure: {metric}, base and tuned | {base}, {tuned} | of the run |")
    lines += ["", "What differs:\n", *(f"- {sentence.strip()}" for sentence in published.differs)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    write()
