"""What the stages of data and tokens depend on."""

from __future__ import annotations

from deltatune.config.datasets import with_parts
from deltatune.config.model import FileDataset
from deltatune.config.stages import split_settings
from deltatune.data.formats import below_shared_folder
from deltatune.data.mixture_settings import MixtureSettings
from deltatune.data.records import group_columns
from deltatune.fetch.dataset_settings import (
    DatasetSettings,
    FileSource,
    HubSource,
    SampleSource,
    UrlSource,
)
from deltatune.preview.settings import Previewed, PreviewSettings
from deltatune.tasks.base import TaskSettings
from deltatune.tasks.registry import fields_of
from deltatune.workflow import user_files
from deltatune.workflow.selection import Wildcards
from deltatune.workflow.stage_params import StageParams, source_of


class DataParams(StageParams):
    def dataset_content(self, wildcards: Wildcards) -> dict[str, str]:
        """What its files hold, in their order, by their names below the folder that all are in."""
        files = self._paths.source(wildcards.dataset)
        names = below_shared_folder(files)
        return {n: user_files.fingerprint(file) for n, file in zip(names, files, strict=True)}

    def model_content(self, wildcards: Wildcards) -> dict[str, str]:
        return self.content(*self._paths.model_source(wildcards.model))

    def fetch_dataset(self, wildcards: Wildcards) -> dict:
        name = wildcards.dataset
        chosen, is_text = self._settings.datasets[name], self._selection.is_text(name)
        return DatasetSettings(
            dataset=name,
            source=source_of(chosen, SampleSource, FileSource, HubSource, UrlSource),
            text=is_text,
            columns=chosen.columns,
            groups=[] if is_text or not chosen.columns else self._split_columns(name),
            given=self._given_files(name),
            used=[] if is_text else self._fields_of(name),
        ).model_dump(mode="json")

    def _tasks_on(self, dataset: str) -> list[TaskSettings]:
        """Those that read a dataset, alone or in a mixture."""
        tasks = self._settings.tasks.values()
        return [t for t in tasks if dataset in with_parts(self._settings, t.dataset)]

    def _fields_of(self, dataset: str) -> list[str]:
        """The fields that tasks look at."""
        return fields_of(task.kind for task in self._tasks_on(dataset))

    def _split_columns(self, dataset: str) -> list[str]:
        """The columns of a dataset that only `split` of its tasks asks for."""
        splits = [task.split for task in self._tasks_on(dataset)]
        columns = {column for split in splits for column in group_columns(split.group)}
        columns |= {split.column for split in splits if split.column is not None}
        return sorted(columns - set(self._settings.datasets[dataset].columns))

    def _given_files(self, dataset: str) -> dict[str, int]:
        """How many files each split has that a dataset of files names."""
        if not isinstance(self._settings.datasets[dataset], FileDataset):
            return {}
        files = self._paths.given_files(dataset)
        return {split: len(named) for split, named in files.items() if split}

    def mix_datasets(self, wildcards: Wildcards) -> dict:
        name = wildcards.dataset
        chosen, used = self._settings.datasets[name], self._fields_of(name)
        return MixtureSettings.part_of(chosen, dataset=name, used=used).model_dump(mode="json")

    def chunk_text(self, wildcards: Wildcards) -> dict:
        return self._settings.datasets[wildcards.dataset].chunks.model_dump(mode="json")

    def split_dataset(self, wildcards: Wildcards) -> dict:
        task = self._settings.tasks[wildcards.task]
        return split_settings(wildcards.task, task).model_dump(mode="json")

    def print_preview(self, wildcards: Wildcards) -> dict:
        tasks = [
            Previewed(
                task=task,
                kind=self._selection.task_kind(task).TITLE,
                model=model,
                experiments=experiments,
                max_length=self._settings.tasks[task].max_length,
                packing=self._settings.tasks[task].packing,
                truncation=self._selection.task_kind(task).TRUNCATION,
                rows=f"tokens/{task}/{model}/train",
                tokenizer=f"models/{model}/model",
            )
            for (task, model), experiments in self._selection.read_by.items()
        ]
        return PreviewSettings(tasks=tasks).model_dump(mode="json")

    def tokenize_split(self, wildcards: Wildcards) -> dict:
        return self.tokens(wildcards.task).model_dump(mode="json")
