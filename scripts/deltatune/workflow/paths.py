"""Where each input and each result lies, relative to the folder that snakemake runs in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deltatune.config.datasets import SAMPLES
from deltatune.config.model import FileDataset, LocalModel, SampleDataset
from deltatune.core import label_file
from deltatune.core.paths import RESULTS, ROOT
from deltatune.evaluate.baselines.registry import BASELINES
from deltatune.fetch import model as model_files
from deltatune.report.page_files import TABLE_STYLES, page_files
from deltatune.workflow import user_files
from deltatune.workflow.selection import COMPARED, Selection


class Paths:
    def __init__(self, selection: Selection, prefixed: bool = False) -> None:
        """prefixed: whether a workflow that imports this one puts a prefix before every relative
        path, which files that are no results do not have."""
        self._selection = selection
        self._settings = selection.settings
        self._prefixed = prefixed

    # ------------------------------------------------------------ data and models

    def project(self, file: str) -> str:
        """A file of the project, which need not be the folder that snakemake runs in."""
        path = ROOT / file
        inside = path.is_relative_to(Path.cwd()) and not self._prefixed
        return str(path.relative_to(Path.cwd()) if inside else path)

    def page_files(self) -> list[str]:
        """Templates, style sheets and scripts of the page, its frame first."""
        return [self.project(f"report/{name}") for name in page_files(ROOT / "report")]

    def table_styles(self) -> list[str]:
        """Style sheets of a table that is a page of its own."""
        return [self.project(f"report/{name}") for name in TABLE_STYLES]

    def _own(self, paths: list[str]) -> list[str]:
        """Files of the user, as a rule can name them."""
        return [str(Path(path).absolute()) for path in paths] if self._prefixed else paths

    def source(self, dataset: str) -> list[str]:
        """The files that a dataset comes from; [] where it is fetched, or mixed of others."""
        chosen = self._settings.datasets[dataset]
        if isinstance(chosen, SampleDataset):
            return [self.project(f"data/sample/{SAMPLES[chosen.name]}")]
        if not isinstance(chosen, FileDataset):
            return []
        return [file for files in self.given_files(dataset).values() for file in files]

    def given_files(self, dataset: str) -> dict[str, list[str]]:
        """Split -> its files, or all of them under "" where a dataset of files names no splits."""
        parts = self._settings.datasets[dataset].parts
        return {split: self._own(user_files.listed(*paths)) for split, paths in parts.items()}

    def model_source(self, model: str) -> list[str]:
        """The files that a local model comes from; [] for one that is fetched or made here."""
        chosen = self._settings.models[model]
        if not isinstance(chosen, LocalModel) or not Path(chosen.path).is_dir():
            return []
        names = sorted(file.name for file in Path(chosen.path).iterdir())
        return self._own([f"{chosen.path}/{name}" for name in model_files.taken(names)])

    def records(self, task: str) -> str:
        """The records that a task splits: the dataset's own, or its chunks."""
        name = self._settings.tasks[task].dataset
        is_text = self._selection.is_text(name)
        file = f"{name}_chunks.csv" if is_text else "records.parquet"
        return f"{RESULTS}/datasets/{name}/{file}"

    def split_inputs(self, task: str) -> dict[str, str]:
        """What a task splits, and what the reader left out of it; of a text, whose records are
        chunks, also the paragraphs, which are what is left out."""
        name = self._settings.tasks[task].dataset
        folder = f"{RESULTS}/datasets/{name}"
        files = {"records": self.records(task), "rejects": f"{folder}/rejects.csv"}
        if self._selection.is_text(name):
            files["paragraphs"] = f"{folder}/records.parquet"
        return files

    def split(self, task: str, split: str) -> str:
        """The records of one split of a task."""
        return f"{RESULTS}/tasks/{task}/{split}.parquet"

    def labels(self, task: str) -> str | list[str]:
        """The names of the classes of a task, as its split has found them; [] where it has none."""
        if self._selection.output_type(task) != "labels":
            return []
        return f"{RESULTS}/tasks/{task}/{label_file.NAME}"

    def tokens(self, experiment: str, split: str) -> str:
        """The hash file of the packed rows that an experiment reads."""
        chosen = self._selection.experiment(experiment)
        return f"{RESULTS}/tokens/{chosen.task}/{chosen.model}/{split}.sha256"

    # ------------------------------------------------------------ systems

    def base_dir(self, model: str, quantization: str) -> str:
        """The folder of a base: the model's own, where bitsandbytes quantizes at loading, or that
        of the weights that GPTQ has quantized before."""
        gptq = self._settings.models[model].gptq
        calibrated = f"/gptq-{gptq.calibration}" if quantization == "gptq" else ""
        return f"{RESULTS}/models/{model}{calibrated}"

    def weights(self, model: str, quantization: str) -> str:
        """The hash file of the weights of a base."""
        return f"{self.base_dir(model, quantization)}/weights.sha256"

    def model_dir(self, model: str, quantization: str) -> str:
        """The Hugging Face folder of a base."""
        return f"{self.base_dir(model, quantization)}/model"

    def system_hashes(self, system: str) -> dict[str, str]:
        """The hash files of all weights of a system: {"weights", and if tuned "adapter"}."""
        files = {"weights": self.weights(*self._selection.under(system))}
        kind, name, rest = system.split("/")
        if kind == "tuned":
            files["adapter"] = f"{RESULTS}/experiments/{name}/{rest}/adapter.sha256"
        return files

    def runs(self, experiment: str, file: str) -> list[str]:
        """One file of each training run of an experiment."""
        folder = f"{RESULTS}/experiments/{experiment}"
        return [f"{folder}/seed-{seed}/{file}" for seed in self._settings.seeds]

    # ------------------------------------------------------------ evaluations and comparisons

    def outputs(self, split: str, task: str, system: str) -> str:
        """The outputs that the metrics of a task are computed from, on one of its splits."""
        output_type = self._selection.output_type(task)
        return f"{RESULTS}/evaluations/{split}/{task}/{system}/{output_type}.parquet"

    def evaluated(self, experiment: str, file: str, task: str | None = None) -> dict[str, Any]:
        """{"base": path, "tuned": [paths]} of one file of the evaluations of an experiment that are
        compared."""
        task = task or self._selection.experiment(experiment).task
        folder = f"{RESULTS}/evaluations/{COMPARED}/{task}"
        return {
            "base": f"{folder}/{self._selection.base(experiment)}/{file}",
            "tuned": [f"{folder}/{system}/{file}" for system in self._selection.tuned(experiment)],
        }

    def own_answers(self, experiment: str, file: str) -> list[str]:
        """One file of the answers to one's own prompts, of the base and of each tuned system; []
        where there are no prompts."""
        if not self._settings.prompts:
            return []
        folder = f"{RESULTS}/prompts/{self._selection.experiment(experiment).task}"
        systems = [self._selection.base(experiment), *self._selection.tuned(experiment)]
        return [f"{folder}/{system}/{file}" for system in systems]

    def comparison(self, experiment: str, task: str) -> str:
        return f"{RESULTS}/comparisons/{experiment}/{task}.csv"

    def baselines(self, task: str, file: str) -> dict[str, str]:
        """Name of each plain baseline of a task -> one file of its evaluation."""
        folder = f"{RESULTS}/evaluations/{COMPARED}/{task}/baseline"
        return {name: f"{folder}/{name}/{file}" for name in self._selection.baselines(task)}

    def baseline_outputs(self, outputs: str) -> dict[str, list[str]]:
        """The files of all plain baselines with these outputs, as patterns with {split} and
        {task}."""
        files = {
            "outputs": f"{outputs}.parquet",
            "manifests": f"{outputs}.json",
            "scores": "scores.parquet",
            "metrics": "metrics.json",
            "tables": "metrics.csv",
        }
        folder = f"{RESULTS}/evaluations/{{split}}/{{task}}/baseline"
        return {
            key: [f"{folder}/{name}/{file}" for name in BASELINES[outputs]]
            for key, file in files.items()
        }

    def figures(self) -> list[str]:
        """All figures of the run."""
        chosen = self._selection
        names = ["forest"]
        names += [f"losses/{name}" for name in chosen.experiments]
        names += [f"differences/{name}" for name in chosen.experiments]
        names += [f"confusion/{name}" for name in chosen.of_outputs("labels")]
        return [f"{RESULTS}/figures/{name}.svg" for name in names]

    def tables(self) -> list[str]:
        """The tables of this run; cross_task and baselines only where there are such rows."""
        names = ["comparison", *(["cross_task"] if self._selection.cross_task else [])]
        names += ["baselines"] if self._selection.with_baselines else []
        return [f"{RESULTS}/{name}.csv" for name in names]
