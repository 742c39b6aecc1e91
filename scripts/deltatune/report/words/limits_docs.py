"""The list of limits in docs/method.md, which a test compares with it.

`python -m deltatune.report.words.limits_docs` in scripts/ writes it.
"""

from __future__ import annotations

import re
from pathlib import Path

from deltatune.core.paths import ROOT
from deltatune.report.words.limit_list import LIMITS

METHOD = ROOT / "docs" / "method.md"
BEGIN = "<!-- limits: written by `python -m deltatune.report.words.limits_docs` in scripts/ -->"
END = "<!-- end of limits -->"


def documentation() -> str:
    """The list as Markdown: the condition of each and its sentence, placeholders in italics."""
    lines = [BEGIN, "", "| shown on the page when | sentence |", "|---|---|"]
    for limit in LIMITS:
        sentence = re.sub(r"\{(\w+)\}", lambda match: f"*{match[1].replace('_', ' ')}*",
                          limit.sentence)  # fmt: skip
        lines.append(f"| {limit.when} | {sentence} |")
    return "\n".join([*lines, "", END])


def write(path: Path = METHOD) -> None:
    """Write the list between its markers."""
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    path.write_text(before + documentation() + after, encoding="utf-8")


if __name__ == "__main__":
    write()
