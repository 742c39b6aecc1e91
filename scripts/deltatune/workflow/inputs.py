"""What the rules read where a pattern does not say it: most methods have the name of their rule."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from deltatune.core.paths import RESULTS
from deltatune.workflow.paths import Paths
from deltatune.workflow.selection import Selection, Wildcards


def _of_known_names(function: Callable[[Inputs, Wildcards], Any]) -> Callable[..., Any]:
    """An input function that is asked of what config.yaml has alone.

    A target may have any name. What stops Snakemake with a message and no traceback is an input
    that is not there: for a name that nothing has, this is what is missing in config.yaml.
    """

    @wraps(function)
    def asked(self: Inputs, wildcards: Wildcards) -> Any:
        unknown = self._selection.unknown(wildcards)
        return [unknown] if unknown else function(self, wildcards)

    return asked


class Inputs:
    """Input functions of Snakemake: wildcards -> paths, alone or by name."""

    def __init__(self, selection: Selection, paths: Paths) -> None:
        self._selection, self._paths = selection, paths

    # ------------------------------------------------------------ data and models

    @_of_known_names
    def fetch_dataset(self, wildcards: Wildcards) -> list[str]:
        return self._paths.source(wildcards.dataset)

    @_of_known_names
    def mix_datasets(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """What `fetch_dataset` leaves of each part, in the order of their names."""
        folders = [
            f"{RESULTS}/datasets/{part}"
            for part in self._selection.settings.datasets[wildcards.dataset].of
        ]
        return {
            "records": [f"{folder}/records.parquet" for folder in folders],
            "rejects": [f"{folder}/rejects.csv" for folder in folders],
        }

    @_of_known_names
    def split_dataset(self, wildcards: Wildcards) -> dict[str, str]:
        return self._paths.split_inputs(wildcards.task)

    @_of_known_names
    def pretrain_model(self, wildcards: Wildcards) -> list[str]:
        """The training splits that a model is pretrained on."""
        tasks = self._selection.settings.models[wildcards.model].corpus
        return [self._paths.split(task, "train") for task in tasks]

    @_of_known_names
    def fetch_model(self, wildcards: Wildcards) -> list[str]:
        return self._paths.model_source(wildcards.model)

    def preview(self, wildcards: Wildcards) -> list[str]:
        """What `tokenize_split` leaves of each training split, and the files of its tokenizer."""
        files = []
        for task, model in self._selection.read_by:
            rows = f"{RESULTS}/tokens/{task}/{model}/train"
            files += [rows, *(f"{rows}.{suffix}" for suffix in ("sha256", "json", "parquet"))]
            base = f"{RESULTS}/models/{model}"
            files += [f"{base}/model", f"{base}/tokenizer.sha256"]
        return list(dict.fromkeys(files))

    @_of_known_names
    def labels(self, wildcards: Wildcards) -> str | list[str]:
        """The classes of the task of a job; nothing where it has none."""
        return self._paths.labels(self._selection.task_of(wildcards))

    # ------------------------------------------------------------ systems

    @_of_known_names
    def base_model(self, wildcards: Wildcards) -> str:
        """The Hugging Face folder of the base under a system, or that an experiment tunes."""
        return self._paths.model_dir(*self._selection.base_of(wildcards))

    @_of_known_names
    def train_adapter(self, wildcards: Wildcards) -> dict[str, str]:
        """Hash files of the base's weights and of the packed rows."""
        chosen = self._selection.experiment(wildcards.experiment)
        return {
            "weights": self._paths.weights(chosen.model, chosen.quantization),
            **{
                split: self._paths.tokens(wildcards.experiment, split)
                for split in ("train", "validation")
            },
        }

    @_of_known_names
    def system(self, wildcards: Wildcards) -> dict[str, str]:
        """The hash files of all weights of a system."""
        return self._paths.system_hashes(wildcards.system)

    @_of_known_names
    def answer_prompts(self, wildcards: Wildcards) -> dict[str, str]:
        """The same, and the names of the classes where the task has classes."""
        files = self._paths.system_hashes(wildcards.system)
        if self._selection.output_type(wildcards.task) == "labels":
            files["labels"] = self._paths.labels(wildcards.task)
        return files

    @_of_known_names
    def merge_adapter(self, wildcards: Wildcards) -> dict[str, str]:
        """Hash files and test text; nothing for GPTQ, which is refused (see `merge.check`)."""
        chosen = self._selection.experiment(wildcards.experiment)
        if chosen.quantization == "gptq":
            return {}
        system = f"tuned/{wildcards.experiment}/seed-{wildcards.seed}"
        test = self._paths.split(chosen.task, "test")
        labels = {"labels": self._paths.labels(chosen.task)}
        return {**self._paths.system_hashes(system), "test": test, **labels}

    @_of_known_names
    def merged_model(self, wildcards: Wildcards) -> str | list[str]:
        """The base that an adapter is merged into; again nothing for GPTQ."""
        model, quantization = self._selection.base_of(wildcards)
        return [] if quantization == "gptq" else self._paths.model_dir(model, quantization)

    # ------------------------------------------------------------ evaluations and comparisons

    @_of_known_names
    def compute_metrics(self, wildcards: Wildcards) -> str:
        return self._paths.outputs(wildcards.split, wildcards.task, wildcards.system)

    @_of_known_names
    def compare_systems(self, wildcards: Wildcards) -> dict[str, Any]:
        return self._paths.evaluated(wildcards.experiment, "scores.parquet", wildcards.task)

    def join_comparisons(self, wildcards: Wildcards) -> list[str]:
        pairs = self._selection.pairs(own=wildcards.table == "comparison")
        return [self._paths.comparison(name, task) for name, task in pairs]

    def compare_baselines(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Scores of baselines, and of the tuned systems that are compared with them, and classes
        where there are some: experiment by experiment, as in `Params.compare_baselines`."""
        names = self._selection.with_baselines
        return {
            "baselines": [
                path
                for name in names
                for path in self._paths.baselines(
                    self._selection.experiment(name).task, "scores.parquet"
                ).values()
            ],
            "tuned": [
                path
                for name in names
                for path in self._paths.evaluated(name, "scores.parquet")["tuned"]
            ],
            "labels": [
                path
                for name in names
                if (path := self._paths.labels(self._selection.experiment(name).task))
            ],
        }

    def plot_forest(self, wildcards: Wildcards) -> dict[str, str]:
        """The tables of comparisons with the base, by their names."""
        names = ["comparison", *(["cross_task"] if self._selection.cross_task else [])]
        return {name: f"{RESULTS}/{name}.csv" for name in names}

    @_of_known_names
    def plot_losses(self, wildcards: Wildcards) -> list[str]:
        return self._paths.runs(wildcards.experiment, "loss.csv")

    @_of_known_names
    def plot_differences(self, wildcards: Wildcards) -> dict[str, Any]:
        return self._paths.evaluated(wildcards.experiment, "scores.parquet")

    @_of_known_names
    def plot_confusion(self, wildcards: Wildcards) -> dict[str, Any]:
        return self._paths.evaluated(wildcards.experiment, "labels.parquet")
