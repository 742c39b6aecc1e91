"""The top of profiles/slurm/config.yaml, as a user fills it in."""

from __future__ import annotations

import re
from pathlib import Path


def fill_in(project: Path, **values: object) -> None:
    path = project / "profiles/slurm/config.yaml"
    text = path.read_text()
    for name, value in values.items():
        text, count = re.subn(rf'^  {name}: ""', f"  {name}: {value}", text, flags=re.MULTILINE)
        assert count == 1, name
    path.write_text(text)
