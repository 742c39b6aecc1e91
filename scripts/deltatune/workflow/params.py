"""What each stage depends on: its own part of the settings.

The rules ask here instead of reaching into the config, so that a stage's params hold exactly what
changes its result. Most methods have the name of their rule.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.compare.settings import (
    AgainstBaselines,
    BaselinesSettings,
    ComparisonSettings,
    Inference,
    TableSettings,
)
from deltatune.config.model import HubModel
from deltatune.core.paths import RESULTS, ROOT
from deltatune.core.schema import Section
from deltatune.data.records import group_columns
from deltatune.data.split_settings import SplitSettings
from deltatune.evaluate.baselines.settings import FitSettings
from deltatune.evaluate.generate_settings import GenerateSettings
from deltatune.evaluate.label_likelihood_settings import LabelSettings
from deltatune.evaluate.likelihood_settings import TextSettings
from deltatune.evaluate.settings import EvaluationSettings
from deltatune.fetch.dataset_settings import (
    DatasetSettings,
    FileSource,
    HubSource,
    SampleSource,
    UrlSource,
)
from deltatune.fetch.model_settings import HubRepository, LocalFolder, ModelSettings
from deltatune.metrics.metadata import metadata
from deltatune.metrics.settings import MetricsSettings
from deltatune.models.gptq_settings import QuantizeSettings
from deltatune.models.merge_settings import MergeSettings
from deltatune.models.pretrain_settings import PretrainSettings
from deltatune.report.figures.settings import (
    ConfusionSettings,
    DifferencesSettings,
    ForestSettings,
    LossesSettings,
)
from deltatune.report.settings import ReportSettings
from deltatune.tasks.registry import load_kind
from deltatune.tokens.settings import TokenizeSettings
from deltatune.train.settings import Base, TrainSettings
from deltatune.workflow import user_files
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection, Wildcards


def _source(chosen: Section, *sources: type[Section]) -> Section:
    """What a stage reads of where a dataset or a model comes from. sources: the models of that."""
    return next(source for source in sources if isinstance(chosen, source)).part_of(chosen)


class Params:
    """Functions of wildcards to plain data: Snakemake compares the reprs of params."""

    def __init__(self, selection: Selection, paths: Paths) -> None:
        self._selection, self._paths = selection, paths
        self._settings = selection.settings
        self._plain = selection.settings.model_dump(mode="json")

    # ------------------------------------------------------------ data

    def content(self, *paths: str) -> dict[str, str]:
        """What files that no rule makes hold, by their names, see `user_files`."""
        return {Path(path).name: user_files.fingerprint(path) for path in paths}

    def dataset_content(self, wildcards: Wildcards) -> dict[str, str]:
        source = self._paths.source(wildcards.dataset)
        return self.content(*([source] if isinstance(source, str) else source))

    def model_content(self, wildcards: Wildcards) -> dict[str, str]:
        return self.content(*self._paths.model_source(wildcards.model))

    def fetch_dataset(self, wildcards: Wildcards) -> dict:
        name = wildcards.dataset
        chosen, is_text = self._settings.datasets[name], self._selection.is_text(name)
        return DatasetSettings(
            dataset=name,
            source=_source(chosen, SampleSource, FileSource, HubSource, UrlSource),
            text=is_text,
            columns=chosen.columns,
            groups=[] if is_text or not chosen.columns else self._group_columns(name),
        ).model_dump(mode="json")

    def _group_columns(self, dataset: str) -> list[str]:
        """The columns of a dataset that only `split.group` of its tasks asks for."""
        tasks = [task for task in self._settings.tasks.values() if task.dataset == dataset]
        columns = {column for task in tasks for column in group_columns(task.split.group)}
        return sorted(columns - set(self._settings.datasets[dataset].columns))

    def chunk_text(self, wildcards: Wildcards) -> dict:
        return self._settings.datasets[wildcards.dataset].chunks.model_dump(mode="json")

    def split_dataset(self, wildcards: Wildcards) -> dict:
        return self.split(wildcards.task)

    def split(self, name: str) -> dict:
        task = self._settings.tasks[name]
        records = load_kind(task.kind).Records
        settings = SplitSettings[records].part_of(task, task=name, records=records.part_of(task))
        return settings.model_dump(mode="json")

    def prompts(self, name: str) -> Section:
        """What the kind of a task makes prompts of."""
        return self._selection.task_kind(name).Prompts.part_of(self._settings.tasks[name])

    def questions(self, name: str) -> Section:
        """What the kind of a task reads of its evaluation to ask."""
        questions = self._selection.task_kind(name).Questions
        return questions.part_of(self._settings.tasks[name].evaluation)

    def tokenize_split(self, wildcards: Wildcards) -> dict:
        return self.tokens(wildcards.task).model_dump(mode="json")

    def tokens(self, name: str) -> TokenizeSettings:
        prompts, task = self.prompts(name), self._settings.tasks[name]
        return TokenizeSettings[type(prompts)].part_of(task, task=name, prompts=prompts)

    # ------------------------------------------------------------ models

    def pretrain_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model]
        corpus = {task: self._selection.kind(task) for task in chosen.corpus}
        settings = PretrainSettings.part_of(chosen, model=wildcards.model, corpus=corpus)
        return settings.model_dump(mode="json")

    def fetch_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model]
        source = _source(chosen, LocalFolder, HubRepository)
        return ModelSettings(model=wildcards.model, source=source).model_dump(mode="json")

    def quantize_model(self, wildcards: Wildcards) -> dict:
        chosen = self._settings.models[wildcards.model].gptq
        settings = QuantizeSettings.part_of(chosen, model=wildcards.model)
        return settings.model_dump(mode="json")

    def train_adapter(self, wildcards: Wildcards) -> dict:
        return self.training(wildcards.experiment, wildcards.seed)

    def training(self, experiment: str, seed: str) -> dict:
        chosen = self._selection.experiment(experiment)
        settings = TrainSettings(
            model=chosen.model,
            quantization=chosen.quantization,
            lora=chosen.lora,
            training=chosen.training,
            seed=int(seed),
            base=self.base_name(chosen.model),
        )
        return settings.model_dump(mode="json")

    def base_name(self, model: str) -> Base:
        """What an adapter calls its base."""
        chosen = self._settings.models[model]
        if isinstance(chosen, HubModel):
            return Base(name=chosen.id, revision=chosen.revision)
        return Base(name=f"{RESULTS}/models/{model}/model", revision=None)

    def merge_adapter(self, wildcards: Wildcards) -> dict:
        chosen = self._selection.experiment(wildcards.experiment)
        tokens = self.tokens(chosen.task)
        model = MergeSettings[type(tokens.prompts)]
        settings = model.part_of(tokens, quantization=chosen.quantization)
        return settings.model_dump(mode="json")

    # ------------------------------------------------------------ evaluations

    def generate_answers(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        model = GenerateSettings[type(prompts), type(questions)]
        return self._evaluation(model, wildcards, prompts=prompts, questions=questions)

    def score_text(self, wildcards: Wildcards) -> dict:
        task = self._settings.tasks[wildcards.task]
        # The window of the likelihood, whichever key it comes from.
        context = task.evaluation.context or task.max_length
        return self._evaluation(TextSettings, wildcards, context=context)

    def score_labels(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        model = LabelSettings[type(prompts), type(questions)]
        max_length = self._settings.tasks[wildcards.task].max_length
        asked = {"prompts": prompts, "questions": questions, "max_length": max_length}
        return self._evaluation(model, wildcards, **asked)

    def _evaluation(
        self, model: type[EvaluationSettings], wildcards: Wildcards, **others: Any
    ) -> dict:
        """The same for a base and for what was tuned from it. others: what is not in the section
        `evaluation` of the task."""
        task = self._settings.tasks[wildcards.task]
        _, quantization = self._selection.base_of(wildcards)
        which = {"task": wildcards.task, "kind": task.kind, "quantization": quantization}
        return model.part_of(task.evaluation, **which, **others).model_dump(mode="json")

    def compute_metrics(self, wildcards: Wildcards) -> dict:
        return self.metrics(wildcards.task).model_dump(mode="json")

    def metrics(self, task: str, names: list[str] | None = None) -> MetricsSettings:
        """names: of the metrics; all of the task, by default."""
        chosen = self._settings.tasks[task]
        return MetricsSettings(
            outputs=self._selection.output_type(task),
            metrics=names or chosen.metrics,
            labels=self.labels(task),
            language=getattr(chosen, "language", "en"),
        )

    def labels(self, task: str) -> list[str]:
        """The names of the classes of a task; none where it has no labels."""
        is_labeled = self._selection.output_type(task) == "labels"
        return self.prompts(task).labels if is_labeled else []

    def fit_baselines(self, wildcards: Wildcards) -> dict:
        prompts, questions = self.prompts(wildcards.task), self.questions(wildcards.task)
        settings = FitSettings[type(prompts), type(questions)](
            kind=self._selection.kind(wildcards.task),
            prompts=prompts,
            questions=questions,
            metrics=self.metrics(wildcards.task),
        )
        return settings.model_dump(mode="json")

    # ------------------------------------------------------------ comparisons

    def compare_systems(self, wildcards: Wildcards) -> dict:
        experiment, task = wildcards.experiment, wildcards.task
        return self.comparison(experiment, task).model_dump(mode="json")

    def comparison(self, experiment: str, task: str) -> ComparisonSettings:
        """Of an experiment on its own or another task, by all metrics of that."""
        own = task == self._selection.experiment(experiment).task
        family = len(self._selection.pairs(own))
        return self._comparison(experiment, task, self.metrics(task), family)

    def _comparison(
        self, experiment: str, task: str, metrics: MetricsSettings, family: int
    ) -> ComparisonSettings:
        return ComparisonSettings(
            experiment=experiment,
            task=task,
            model=self._selection.experiment(experiment).model,
            seeds=self._settings.seeds,
            unit=self._selection.task_kind(task).UNIT,
            metrics=metrics,
            main_metric=self._settings.tasks[task].main_metric,
            family=family,
            statistics=Inference.part_of(self._settings.statistics),
        )

    def join_comparisons(self, wildcards: Wildcards) -> dict:
        return TableSettings(
            confidence=self._settings.statistics.confidence,
            order=self._selection.pairs(own=wildcards.table == "comparison"),
        ).model_dump(mode="json")

    def compare_baselines(self, wildcards: Wildcards) -> dict:
        """Each experiment whose task has plain baselines, by the main metric of that. The scores
        are inputs in the same order."""
        experiments = []
        for name in self._selection.with_baselines:
            task = self._selection.experiment(name).task
            metrics = self.metrics(task, [self._settings.tasks[task].main_metric])
            # Each is a test by itself, see `family.independent`.
            comparison = self._comparison(name, task, metrics, family=1)
            baselines = list(self._selection.baselines(task))
            experiments.append(AgainstBaselines(comparison=comparison, baselines=baselines))
        confidence = self._settings.statistics.confidence
        return BaselinesSettings(confidence=confidence, experiments=experiments).model_dump(
            mode="json"
        )

    # ------------------------------------------------------------ figures and report

    def plot_losses(self, wildcards: Wildcards) -> dict:
        return LossesSettings(
            experiment=wildcards.experiment, seeds=self._settings.seeds
        ).model_dump(mode="json")

    def plot_differences(self, wildcards: Wildcards) -> dict:
        task = self._selection.task_of(wildcards)
        name = self._settings.tasks[task].main_metric
        metric = metadata(self._selection.output_type(task), name)
        return DifferencesSettings(
            metric=name,
            title=metric.title,
            higher_is_better=metric.higher_is_better,
            unit=self._selection.task_kind(task).UNIT,
            seeds=self._settings.seeds,
        ).model_dump(mode="json")

    def plot_confusion(self, wildcards: Wildcards) -> dict:
        labels = self.labels(self._selection.task_of(wildcards))
        return ConfusionSettings(labels=labels, seeds=self._settings.seeds).model_dump(mode="json")

    def plot_forest(self, wildcards: Wildcards) -> dict:
        metrics = {
            name: metadata(self._selection.output_type(task), name)
            for task in self._selection.tasks
            for name in self._settings.tasks[task].metrics
        }
        return ForestSettings(
            titles={name: metric.title for name, metric in metrics.items()},
            higher_is_better={name: m.higher_is_better for name, m in metrics.items()},
            seeds=self._settings.seeds,
            tests=len(self._selection.pairs(own=True)),
            confidence=self._settings.statistics.confidence,
        ).model_dump(mode="json")

    def page_content(self, wildcards: Wildcards) -> dict[str, str]:
        files = ("report/page.html.j2", "report/style.css")
        return self.content(*map(self._paths.project, files))

    def render_report(self, wildcards: Wildcards) -> dict:
        statistics = self._settings.statistics
        return ReportSettings(
            report=self._settings.report,
            confidence=statistics.confidence,
            margins=statistics.margins,
        ).model_dump(mode="json")

    # ------------------------------------------------------------ snakemake plan

    def print_plan(self, wildcards: Wildcards) -> dict[str, Any]:
        """What `snakemake plan` estimates. Results that are there already are read, but are no
        inputs, or they would be made for it: they are named as they lie below results/."""
        return {
            "experiments": [self._planned(name) for name in self._selection.experiments],
            "hardware": self._plain["hardware"],
            "statistics": {
                "confidence": self._plain["statistics"]["confidence"],
                "family": len(self._selection.pairs(own=True)),
            },
            "presets": str(ROOT / "presets"),
        }

    def _planned(self, name: str) -> dict[str, Any]:
        chosen = self._plain["experiments"][name]
        task, model = chosen["task"], chosen["model"]
        dataset = self._settings.tasks[task].dataset
        return {
            "experiment": name,
            "model": {"name": model, **self._plain["models"][model]},
            "task": {"task": task, **self._plain["tasks"][task]},
            "settings": {
                "split": self.split(task),
                "tokens": self.tokens(task).model_dump(mode="json"),
            },
            "dataset": self._plain["datasets"][dataset],
            "text": self._selection.is_text(dataset),
            "path": self._paths.source(dataset) or None,
            "seeds": len(self._settings.seeds),
            "unit": self._selection.task_kind(task).UNIT,
            **{key: chosen[key] for key in ("quantization", "lora", "training")},
            "files": {
                "model": f"models/{model}/model",
                "tokens": f"tokens/{task}/{model}/train.json",
                "split": f"tasks/{task}/manifest.json",
                "train": f"tasks/{task}/train.parquet",
                "records": self._paths.records(task).removeprefix(f"{RESULTS}/"),
            },
        }
