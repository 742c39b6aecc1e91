"""The stages of a run as a person reads them: one for each file in rules/."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TITLES = {
    "data": "Data",
    "models": "Base models",
    "tokens": "Tokens",
    "train": "Training",
    "evaluate": "Evaluation",
    "compare": "Comparison",
    "report": "Report",
    "preview": "Preview",
    "plan": "Plan",
    "merge": "Merged models",
    "archive": "Archive",
}
"""Name of a file in rules/ -> what its stage is called, in the order of the data."""

_RULE = re.compile(r"^ *(?:rule|checkpoint) +(\w+) *:", re.MULTILINE)


@dataclass(frozen=True)
class Stage:
    title: str
    rules: tuple[str, ...]


def of_rules(folder: Path) -> list[Stage]:
    """The stages, in the order of TITLES; a file that is not named there is a stage by its name,
    behind the others. folder: rules/. Files without a rule are no stage."""
    files = {file.stem: file for file in sorted(folder.glob("*.smk"))}
    order = [*(name for name in TITLES if name in files), *(n for n in files if n not in TITLES)]
    rules = {name: tuple(_RULE.findall(files[name].read_text("utf-8"))) for name in order}
    return [Stage(TITLES.get(name, name), of) for name, of in rules.items() if of]
