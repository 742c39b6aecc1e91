"""Datasets: which are plain text, and which a mixture is of."""

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
