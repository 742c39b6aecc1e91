"""Settings that are each right but wrong together, and files that are not there."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deltatune.config.backend import backend_problems
from deltatune.config.datasets import (
    mixture_problems,
    split_problems,
    text_parts,
    with_parts,
)
from deltatune.config.model import (
    AnyDataset,
    Experiment,
    FileDataset,
    LocalModel,
    Model,
    PretrainModel,
    Settings,
    given_splits,
)
from deltatune.config.problems import Problem
from deltatune.core.text import did_you_mean
from deltatune.data.formats import (
    ARCHIVE,
    SUFFIXES,
    TEXT_SUFFIXES,
    is_folder,
    is_text,
    source_files,
)
from deltatune.metrics.registry import available_metrics
from deltatune.models import published
from deltatune.tasks.base import TaskSettings, lengths
from deltatune.tasks.registry import load_kind
from deltatune.tokens import context as context_settings


def references(settings: Settings) -> Iterator[Problem]:
    """Names that point nowhere, and settings that are each right but wrong together."""
    yield from _names(settings)
    yield from _run(settings)
    for name, dataset in settings.datasets.items():
        yield from mixture_problems(settings, name, dataset)
    for name, task in settings.tasks.items():
        yield from _task(settings, f"tasks.{name}", task)
    yield from _margins(settings)
    yield from backend_problems(settings)
    for name, model in settings.models.items():
        yield from _model(settings, f"models.{name}", model)
    for name, experiment in settings.experiments.items():
        yield from _experiment(settings, f"experiments.{name}", experiment)


def _unknown(settings: Settings, where: str, name: str, section: str) -> Problem:
    names = list(getattr(settings, section))
    return Problem(
        where,
        f"no {section.rstrip('s')} is called '{name}'{did_you_mean(name, names)}; "
        f"{section} has {', '.join(names) or 'none'}",
    )


def _names(settings: Settings) -> Iterator[Problem]:
    for section in ("datasets", "models", "tasks", "experiments"):
        # Where the file system takes both for the same folder, one would overwrite the other.
        seen: dict[str, str] = {}
        for name in getattr(settings, section):
            if (other := seen.setdefault(name.casefold(), name)) != name:
                yield Problem(
                    f"{section}.{name}",
                    f"'{name}' and '{other}' differ in case alone, and not every file system tells "
                    "them apart; give one of them another name",
                )


def _run(settings: Settings) -> Iterator[Problem]:
    if settings.run != "all":
        for name in settings.run:
            if name not in settings.experiments:
                yield _unknown(settings, "run", name, "experiments")
        if not settings.run:
            yield Problem("run", "name at least one experiment, or write `all`")
    yield from _twice("seeds", settings.seeds)


def _twice(where: str, values: Sequence[str] | Sequence[int]) -> Iterator[Problem]:
    """An entry that stands twice would be counted twice, such as a task in a family of tests."""
    for value in dict.fromkeys(values):
        if values.count(value) > 1:
            yield Problem(where, f"{value!r} stands there twice; leave one of them out")


def _task(settings: Settings, where: str, task: TaskSettings) -> Iterator[Problem]:
    if task.dataset not in settings.datasets:
        yield _unknown(settings, f"{where}.dataset", task.dataset, "datasets")
    else:
        dataset = settings.datasets[task.dataset]
        yield from split_problems(dataset, f"{where}.split", task)
    yield from _twice(f"{where}.metrics", task.metrics)
    outputs = load_kind(task.kind).OUTPUTS
    known = available_metrics(outputs)
    for metric in task.metrics:
        if metric not in known:
            yield Problem(
                f"{where}.metrics",
                f"'{metric}' is not a metric of {outputs}{did_you_mean(metric, known)}; there "
                f"are {', '.join(known)}",
            )
    if task.main_metric not in task.metrics:
        yield Problem(
            f"{where}.main_metric", f"'{task.main_metric}' is not among metrics {task.metrics}"
        )


def _margins(settings: Settings) -> Iterator[Problem]:
    measured = list(dict.fromkeys(m for task in settings.tasks.values() for m in task.metrics))
    for metric in settings.statistics.margins:
        if metric not in measured:
            yield Problem(
                f"statistics.margins.{metric}",
                f"no task measures '{metric}'{did_you_mean(metric, measured)}; metrics of the "
                f"tasks are {', '.join(measured)}",
            )


def _model(settings: Settings, where: str, model: Model) -> Iterator[Problem]:
    if isinstance(model, PretrainModel):
        for task in model.corpus:
            if task not in settings.tasks:
                yield _unknown(settings, f"{where}.corpus", task, "tasks")
        yield from _twice(f"{where}.corpus", model.corpus)
        if model.sequence_length > model.architecture.context:
            yield Problem(
                f"{where}.sequence_length",
                f"{model.sequence_length} is more than "
                f"architecture.context ({model.architecture.context})",
            )
    if model.gptq and model.gptq.calibration not in settings.tasks:
        yield _unknown(settings, f"{where}.gptq.calibration", model.gptq.calibration, "tasks")


def _experiment(settings: Settings, where: str, experiment: Experiment) -> Iterator[Problem]:
    if experiment.model not in settings.models:
        yield _unknown(settings, f"{where}.model", experiment.model, "models")
    if experiment.task not in settings.tasks:
        yield _unknown(settings, f"{where}.task", experiment.task, "tasks")
    if experiment.model in settings.models and experiment.task in settings.tasks:
        yield from _fits(settings, where, experiment.model, experiment.task)
        yield from _can_calibrate(settings, where, experiment)
    yield from _twice(f"{where}.cross_task", experiment.cross_task or [])
    for task in experiment.cross_task or []:
        if task not in settings.tasks:
            yield _unknown(settings, f"{where}.cross_task", task, "tasks")
        elif task == experiment.task:
            yield Problem(f"{where}.cross_task", f"'{task}' is the task that it is tuned on")
        elif experiment.model in settings.models:
            yield from pair_problems(settings, where, experiment, task)
    if experiment.published and experiment.task in settings.tasks:
        measured = settings.tasks[experiment.task].metrics
        for metric in experiment.published.metrics:
            if metric not in measured:
                yield Problem(
                    f"{where}.published.metrics",
                    f"'{metric}' is not measured on "
                    f"'{experiment.task}'{did_you_mean(metric, measured)}; its metrics are "
                    f"{', '.join(measured)}",
                )


def pair_problems(
    settings: Settings, where: str, experiment: Experiment, task: str
) -> Iterator[Problem]:
    """Why an experiment cannot be evaluated on a task that it is not tuned on."""
    yield from _fits(settings, where, experiment.model, task)
    yield from _calibration_is_apart(settings, experiment, task)
    if _may_hold_test_records(settings, experiment.task, task):
        yield Problem(
            where,
            f"its task '{experiment.task}' splits the same records as '{task}' in another way, so "
            f"it may be tuned on test records of '{task}'; give both tasks the same dataset "
            "and `split`",
        )


def _can_calibrate(settings: Settings, where: str, experiment: Experiment) -> Iterator[Problem]:
    """GPTQ needs a calibration text, and that must not hold test records of the experiment."""
    if experiment.quantization != "gptq":
        return
    name, model = experiment.model, settings.models[experiment.model]
    if model.gptq is None:
        yield Problem(
            f"{where}.quantization",
            f"gptq needs models.{name}.gptq.calibration, the task on whose "
            f"training text the model is quantized, such as '{experiment.task}'",
        )
        return
    if isinstance(model, PretrainModel):
        sizes = model.architecture.hidden_size, model.architecture.intermediate_size
        if any(size % max(model.gptq.group_size, 32) for size in sizes):
            yield Problem(
                f"models.{name}.gptq.group_size",
                f"{model.gptq.group_size} does not divide the "
                f"widths {sizes[0]} and {sizes[1]} of models.{name}.architecture, which must be "
                "multiples of 32 too",
            )
    yield from _calibration_is_apart(settings, experiment, experiment.task)


def _calibration_is_apart(
    settings: Settings, experiment: Experiment, task: str
) -> Iterator[Problem]:
    gptq = settings.models[experiment.model].gptq
    if experiment.quantization != "gptq" or gptq is None:
        return
    if _may_hold_test_records(settings, gptq.calibration, task):
        yield Problem(
            f"models.{experiment.model}.gptq.calibration",
            f"task '{gptq.calibration}' splits the same records in another way, so it may hold "
            f"test records of '{task}'; write '{task}' there",
        )


def _fits(settings: Settings, where: str, model_name: str, task_name: str) -> Iterator[Problem]:
    """A model built here must be long enough for the task and must not have read its test."""
    model, task = settings.models[model_name], settings.tasks[task_name]
    if not isinstance(model, PretrainModel):
        return
    yield from _reads(model_name, model.architecture.context, task_name, task)
    for other in model.corpus:
        if _may_hold_test_records(settings, other, task_name):
            yield Problem(
                where,
                f"models.{model_name}.corpus reads dataset '{task.dataset}' as task "
                f"'{other}', so it may have read test records of '{task_name}'; put "
                f"'{task_name}' into the corpus instead of '{other}', or use another model",
            )


def _reads(model: str, context: int | None, name: str, task: TaskSettings) -> Iterator[Problem]:
    """What a task asks beyond the context of a model."""
    for key, text in context_settings.problems(context, model, name, **lengths(task)):
        yield Problem(key, text)


def _may_hold_test_records(settings: Settings, other: str, name: str) -> bool:
    """Whether the training split of `other` may hold test records of the task `name`.

    It does not where both split the same records in the same way.
    """

    def parts(task: str) -> tuple[Any, Any]:
        chosen = settings.tasks.get(task)
        dataset = settings.datasets.get(chosen.dataset) if chosen else None
        if dataset is None:
            return None, None
        mixed = [settings.datasets.get(name) for name in getattr(dataset, "of", ())]
        sources = list(filter(None, mixed)) or [dataset]
        origins = {part: [_origin(source, part) for source in sources] for part in _PARTS}
        return origins, (dataset, chosen.kind, chosen.split, getattr(chosen, "labels", None))

    (origins, split), (own_origins, own_split) = parts(other), parts(name)
    if origins is None or own_origins is None:
        return False
    shared = any(origin in own_origins["test"] for origin in origins["train"])
    return shared and split != own_split


def _origin(dataset: AnyDataset, part: str) -> tuple[Any, Any]:
    """Where the records of a split come from, however they are read."""
    place = dataset.model_dump(exclude={"columns", "chunks", "format", "path", "split"})
    given = given_splits(dataset)
    default = getattr(dataset, "path", getattr(dataset, "split", None))
    return place, given.get(part, given.get("train", default))


_PARTS = ("train", "test")


def files(settings: Settings, folder: Path) -> Iterator[Problem]:
    """Files and folders that the chosen experiments need and that are not there."""
    used_tasks = {
        task for e in settings.chosen.values() for task in (e.task, *(e.cross_task or []))
    }
    for experiment in settings.chosen.values():
        model = settings.models[experiment.model]
        if isinstance(model, PretrainModel):
            used_tasks.update(model.corpus)
        elif isinstance(model, LocalModel):
            yield from _local_model(settings, folder / model.path, experiment)
    named = dict.fromkeys(settings.tasks[task].dataset for task in used_tasks)
    for name in named:
        yield from text_parts(settings, name, folder)
    for name in dict.fromkeys(part for mix in named for part in with_parts(settings, mix)):
        dataset = settings.datasets[name]
        if isinstance(dataset, FileDataset):
            yield from _source_problems(f"datasets.{name}.path", dataset, folder)


def _local_model(settings: Settings, path: Path, experiment: Experiment) -> Iterator[Problem]:
    """A folder without a config.json, and tasks that are too long for its model."""
    name = experiment.model
    if not _is_file(path / "config.json"):
        yield Problem(
            f"models.{name}.path",
            f"there is no config.json in '{settings.models[name].path}'; give "
            "the folder that save_pretrained wrote",
        )
        return
    try:
        config = context_settings.read_config(path)
        context = context_settings.context_length(config)
        why = published.problem(config, experiment.quantization, f"models.{name}")
    except (OSError, ValueError, AttributeError):  # `fetch_model` says what is wrong with it
        return
    if why:
        names = [key for key, one in settings.experiments.items() if one is experiment]
        yield Problem(f"experiments.{names[0]}.quantization", why)
    for task in (experiment.task, *(experiment.cross_task or [])):
        yield from _reads(name, context, task, settings.tasks[task])


def _source_problems(where: str, dataset: FileDataset, folder: Path) -> Iterator[Problem]:
    """Files, folders and patterns behind which nothing can be read, or that are of two splits."""
    parts = {split: source_files(paths, folder) for split, paths in dataset.parts.items()}
    files = [path for named in parts.values() for path in named]
    split_of: dict[str, str] = {}
    for split, named in parts.items():
        for path in named:
            other = split_of.setdefault(os.path.realpath(folder / path), split)
            if other != split:
                yield Problem(
                    f"{where}.{split}",
                    f"'{path}' is among the files of {other} too; a record belongs to one split",
                )
    if "" not in parts and (dataset.format == "txt" or is_text(files)):
        yield Problem(
            where,
            "a plain text is divided by its order: name its files without splits, or give records "
            "with a field `text`, such as a csv for each split",
        )
    for path in files:
        if _is_file(folder / path):
            continue
        if is_folder(folder / path):
            yield Problem(
                where,
                f"the folder '{path}' holds no file that can be read "
                f"({', '.join((*SUFFIXES, ARCHIVE, *TEXT_SUFFIXES))})",
            )
        elif glob.has_magic(path):
            yield Problem(where, f"no file matches '{path}'")
        else:
            hint = did_you_mean(Path(path).name, _beside(folder / path))
            yield Problem(where, f"there is no file '{path}'{hint}")
    texts = [path for path in files if is_text([path])]
    if dataset.format is None and 0 < len(texts) < len(files):
        other = next(path for path in files if path not in texts)
        yield Problem(
            where,
            f"'{texts[0]}' is a plain text and '{other}' holds records; make a dataset of each",
        )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long a name, a NUL byte, a folder that may not be read
        return False


def _beside(path: Path) -> list[str]:
    try:
        return [p.name for p in path.parent.iterdir()]
    except (OSError, ValueError):
        return []
