"""What the params of several stages are made of."""

from __future__ import annotations

from pathlib import Path

from deltatune.config.stages import token_settings
from deltatune.core.schema import Section
from deltatune.tokens.settings import TokenizeSettings
from deltatune.workflow import user_files
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection


def source_of(chosen: Section, *sources: type[Section]) -> Section:
    """What a stage reads of where a dataset or a model comes from. sources: the models of that."""
    return next(source for source in sources if isinstance(chosen, source)).part_of(chosen)


class StageParams:
    """What is asked of several of them. The methods that have the name of a rule are functions of
    its wildcards to plain data: Snakemake compares the reprs of params."""

    def __init__(self, selection: Selection, paths: Paths) -> None:
        self._selection, self._paths = selection, paths
        self._settings = selection.settings

    def content(self, *paths: str) -> dict[str, str]:
        """What files that no rule makes hold, by their names, see `user_files`."""
        return {Path(path).name: user_files.fingerprint(path) for path in paths}

    def prompts(self, name: str) -> Section:
        """What the kind of a task makes prompts of."""
        return self._selection.task_kind(name).Prompts.part_of(self._settings.tasks[name])

    def questions(self, name: str) -> Section:
        """What the kind of a task reads of its evaluation to ask."""
        questions = self._selection.task_kind(name).Questions
        return questions.part_of(self._settings.tasks[name].evaluation)

    def tokens(self, name: str) -> TokenizeSettings:
        return token_settings(name, self._settings.tasks[name])
