"""What is wrong in config.yaml, as data, and the one place where a message is made of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deltatune.core.errors import UserError

MOST = 40
"""Problems that are shown at once."""
LONGEST = 2000
"""Characters of the line that shows one; what it quotes may be of any length."""


@dataclass(frozen=True)
class Problem:
    """path: the key that it is about, such as `tasks.news.labels`; "" for the settings as a whole.
    message: what is wrong with it, and what to do."""

    path: str
    message: str


class ConfigError(UserError):
    """All that is wrong in config.yaml; `problems` has each once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(dict.fromkeys(problems))
        super().__init__(self.message())

    def message(
        self, lines: Mapping[str, int] = MappingProxyType({}), name: str = "config.yaml"
    ) -> str:
        """A line for each problem, up to MOST.

        lines: key -> its line in the file, as `file.read` returns them, where they are known; a
        problem names the line of its key, or of the nearest section that has one.
        name: of what the settings were read from.
        """
        shown = [f"  - {_shown(problem, lines, name)}" for problem in self.problems[:MOST]]
        if len(self.problems) > MOST:
            shown.append(f"  - and {len(self.problems) - MOST} more")
        return "\n".join([f"{name} cannot be used as it is:", *shown])


def _shown(problem: Problem, lines: Mapping[str, int], name: str) -> str:
    text = " ".join(f"{problem.path or name}: {problem.message}".split("\n"))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST - 4]} ..."
    number = _line(problem.path, lines)
    return text if number is None else f"{text} (line {number})"


def _line(path: str, lines: Mapping[str, int]) -> int | None:
    while path not in lines and "." in path:
        path = path.rpartition(".")[0]
    return lines.get(path)
