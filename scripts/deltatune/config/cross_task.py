"""Which experiments are evaluated on which tasks that they were not tuned on.

An experiment's own `cross_task` names its tasks. Where it names none, the key at the top decides:
all tasks of the run, or none. A pair that cannot be evaluated fairly is refused where it was named
and left out where it was not.
"""

from __future__ import annotations

from collections.abc import Iterator

from deltatune.config.checks import pair_problems
from deltatune.config.model import Settings
from deltatune.config.problems import Problem
from deltatune.tasks.registry import load_kind

AUTO = 6
"""Experiments up to which `cross_task: auto` takes all tasks of the run."""


def pairs(settings: Settings) -> list[tuple[str, str]]:
    """(experiment, task) of all cross-task evaluations of the chosen experiments, in their order.

    settings: without problems of their own, see `checks.references`.
    """
    return [
        (name, task)
        for name, experiment in settings.chosen.items()
        for task in (
            (task for task, problem in _candidates(settings, name) if problem is None)
            if experiment.cross_task is None
            else experiment.cross_task
        )
    ]


def left_out(settings: Settings) -> dict[tuple[str, str], Problem]:
    """(experiment, task) -> why `auto` or `all` does not evaluate it."""
    return {
        (name, task): problem
        for name, experiment in settings.chosen.items()
        if experiment.cross_task is None
        for task, problem in _candidates(settings, name)
        if problem is not None
    }


def notice(settings: Settings) -> str | None:
    """What is not evaluated although nobody asked to leave it out, in one line."""
    skipped = left_out(settings)
    if skipped:
        texts = [
            f"{name} on {task} ({problem.path}: {problem.message})"
            for (name, task), problem in skipped.items()
        ]
        return f"cross_task: not evaluated: {'; '.join(texts)}."
    silent = [name for name, e in settings.chosen.items() if e.cross_task is None]
    several = len(_tasks(settings)) > 1
    if settings.cross_task == "auto" and silent and several and not _takes_all(settings):
        return (
            f"cross_task: the run has {len(settings.chosen)} experiments, more than {AUTO}, so "
            f"none is evaluated on the tasks of the others; `cross_task: all` asks for it."
        )
    return None


def _candidates(settings: Settings, name: str) -> Iterator[tuple[str, Problem | None]]:
    """(another task of the run, why the experiment cannot be evaluated on it)."""
    if not _takes_all(settings):
        return
    experiment = settings.experiments[name]
    where = f"experiments.{name}"
    for task in _tasks(settings):
        if task != experiment.task:
            problem = next(pair_problems(settings, where, experiment, task), None)
            yield task, problem or _no_chat_template(settings, where, name, task)


def _takes_all(settings: Settings) -> bool:
    few = len(settings.chosen) <= AUTO
    return settings.cross_task == "all" or (settings.cross_task == "auto" and few)


def _tasks(settings: Settings) -> list[str]:
    """Tasks of the chosen experiments, each once."""
    return list(dict.fromkeys(e.task for e in settings.chosen.values()))


def _no_chat_template(settings: Settings, where: str, name: str, task: str) -> Problem | None:
    """Conversations need a model that has a chat template. That it has one is known before it is
    fetched only where an experiment is tuned on it in that way."""
    model = settings.experiments[name].model
    asks = {n for n, t in settings.tasks.items() if load_kind(t.kind).uses_chat_template(t)}
    tuned_on = {e.task for e in settings.chosen.values() if e.model == model}
    if task not in asks or asks & tuned_on:
        return None
    return Problem(
        where,
        f"'{task}' is asked in a chat template, and whether models.{model} has one is not known; "
        f"if it has, write `cross_task: [{task}]` there",
    )
