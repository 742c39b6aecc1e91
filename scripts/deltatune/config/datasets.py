"""Datasets: which are plain text, which a mixture is of, and how a task can split them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from deltatune.config.model import (
    AnyDataset,
    FileDataset,
    HubDataset,
    MixtureDataset,
    Settings,
    UrlDataset,
    given_splits,
)
from deltatune.config.problems import Problem
from deltatune.core.text import did_you_mean
from deltatune.data import formats
from deltatune.tasks.base import TaskSettings

#: Name of a sample dataset -> its file in data/sample.
SAMPLES = {"instructions": "instructions.json", "prose": "prose.txt", "news": "news.csv"}


def with_parts(settings: Settings, name: str) -> list[str]:
    """A dataset, behind those that it is a mixture of."""
    chosen = settings.datasets[name]
    return [*(chosen.of if isinstance(chosen, MixtureDataset) else ()), name]


def is_text(dataset: AnyDataset, files: Callable[[FileDataset], Sequence[str]]) -> bool:
    """Whether a dataset is plain text, which has to be chunked. files: the files of one."""
    if isinstance(dataset, HubDataset | MixtureDataset):
        return False
    if isinstance(dataset, FileDataset | UrlDataset) and dataset.format:
        return dataset.format == "txt"
    if isinstance(dataset, UrlDataset):
        return dataset.suffix in formats.TEXT_SUFFIXES
    if isinstance(dataset, FileDataset):
        return formats.is_text(files(dataset))
    return formats.is_text([SAMPLES[dataset.name]])


def notice(settings: Settings, names: Sequence[str], folder: Path = Path()) -> str | None:
    """What is not read of the folders that some datasets name, in one line."""
    notes = [
        f"datasets.{name}: {note}"
        for name in names
        if isinstance(chosen := settings.datasets[name], FileDataset)
        for paths in chosen.parts.values()
        for note in formats.left_out(paths, folder)
    ]
    return "; ".join(notes) or None


def mixture_problems(settings: Settings, name: str, dataset: AnyDataset) -> Iterator[Problem]:
    """Parts that a mixture cannot have, as far as config.yaml says it."""
    for part in dataset.of if isinstance(dataset, MixtureDataset) else ():
        where, chosen = f"datasets.{name}.of.{part}", settings.datasets.get(part)
        if chosen is None:
            names = [other for other in settings.datasets if other != name]
            yield Problem(
                where,
                f"no dataset is called '{part}'{did_you_mean(part, names)}; datasets has "
                f"{', '.join(names) or 'no other'}",
            )
        elif part == name:
            yield Problem(where, "a mixture is of other datasets; leave it out")
        elif isinstance(chosen, MixtureDataset):
            yield Problem(
                where,
                f"'{part}' is a mixture itself; name its datasets here, with weights of their own",
            )
        elif given_splits(chosen):
            yield Problem(
                where,
                f"'{part}' names its splits, and a mixture is divided by `split` of its tasks; "
                "make a dataset of the one split that is to be mixed",
            )


def text_parts(settings: Settings, name: str, folder: Path) -> Iterator[Problem]:
    """Plain texts among the parts of a mixture."""

    def files(dataset: FileDataset) -> list[str]:
        named = dataset.parts.values()
        return [file for paths in named for file in formats.source_files(paths, folder)]

    for part in with_parts(settings, name)[:-1]:
        if is_text(settings.datasets[part], files):
            yield Problem(
                f"datasets.{name}.of.{part}",
                f"'{part}' is a plain text, which has no records to draw from; give records with a "
                "field `text`, such as a csv",
            )


def split_problems(dataset: AnyDataset, where: str, task: TaskSettings) -> Iterator[Problem]:
    """What `split` of a task cannot be with its dataset. where: the path of `split`."""
    yield from _given(dataset, where, task)
    yield from _cut(dataset, where, task)


def _given(dataset: AnyDataset, where: str, task: TaskSettings) -> Iterator[Problem]:
    """Keys that say something of splits that the dataset names."""
    given = given_splits(dataset)
    key = f"datasets.{task.dataset}.{'path' if isinstance(dataset, FileDataset) else 'split'}"
    if given and task.split.column is not None:
        yield Problem(
            f"{where}.column",
            f"{key} names the splits already; leave one of the two out",
        )
    for name in ("validation", "test"):
        default = type(task.split).model_fields[name].default
        if name in given and getattr(task.split, name) != default:
            yield Problem(
                f"{where}.{name}",
                f"{key}.{name} gives the {name} split, which is taken whole; leave this size out",
            )


def _cut(dataset: AnyDataset, where: str, task: TaskSettings) -> Iterator[Problem]:
    """Sizes that no number of records can have, where the data do not name the splits."""
    if task.split.column is not None:
        return
    given, named = given_splits(dataset), ("validation", "test")
    sizes = {name: getattr(task.split, name) for name in named if name not in given}
    for name, size in sizes.items():
        if size == 0:
            yield Problem(
                f"{where}.{name}",
                f"{size:g} leaves the split without a record; give a fraction such as 0.1",
            )
    fractions = [f"{name} ({size})" for name, size in sizes.items() if size < 1]
    if len(fractions) == 2 and round(sum(sizes.values()), 9) >= 1:
        yield Problem(where, f"{' and '.join(fractions)} leave nothing for training; lower one")
