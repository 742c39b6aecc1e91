"""What a run's archive holds, and what its config.yaml is where a colleague unpacks it.

The archive is the project itself, with config.yaml as it was used and the files of this machine
that it reads, and the run's results in a folder `run/` beside it, so that a new run can be made
there and compared. Models are left out: a model of this project is built again, one of the hub is
fetched again, and a model in a folder of this machine may not be ours to pass on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from deltatune.config.datasets import SAMPLES
from deltatune.config.model import (
    FileDataset,
    HubDataset,
    HubModel,
    LocalModel,
    MixtureDataset,
    PretrainModel,
    UrlDataset,
)
from deltatune.core.paths import RESULTS, ROOT
from deltatune.data.formats import below_shared_folder
from deltatune.workflow.flow import Flow

#: Files of the project, from its root. Those that are not there are left out.
WORKFLOW = (
    *("Snakefile", "Makefile", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml"),
    *("LICENSE", "CITATION.cff"),
    *("constraints.txt", "requirements*.txt", "rules/*.smk", "envs/*.yaml", "profiles/**/*.yaml"),
    *("scripts/**/*.py", "report/**/*", "data/sample/*", "presets/**/*", "docs/*"),
    "results/README.md",
)
HEAD = "# The configuration of the archived run, with all that was set on the command line.\n"


def results(flow: Flow) -> list[str]:
    """The files of the run that are archived, adapters apart, each once."""
    files = [
        *flow.paths.tables(),
        *flow.report.files(),
        f"{RESULTS}/report.html",
        f"{RESULTS}/verdict.txt",
    ]
    files += flow.paths.figures()
    for name in flow.experiments:
        files += [
            path
            for file in ("adapter.sha256", "loss.csv", "manifest.json")
            for path in flow.paths.runs(name, file)
        ]
        for suffix in ("parquet", "csv", "json"):
            files += flow.paths.own_answers(name, f"answers.{suffix}")
    for own in (True, False):
        for name, task in flow.pairs(own):
            outputs = flow.evaluations(task, own).values()
            made = [f"{kind}{suffix}" for kind in outputs for suffix in (".parquet", ".json")]
            for file in ("metrics.json", "metrics.csv", "scores.parquet", *made):
                paths = flow.paths.evaluated(name, file, task)
                files += [paths["base"], *paths["tuned"]]
            files.append(flow.paths.comparison(name, task))
    for task in flow.tasks:
        outputs = flow.output_type(task)
        for file in ("metrics.json", "metrics.csv", "scores.parquet"):
            files += flow.paths.baselines(task, file).values()
        for suffix in (".parquet", ".json"):
            files += flow.paths.baselines(task, f"{outputs}{suffix}").values()
    for task in flow.all_tasks:
        folder = f"{RESULTS}/tasks/{task}"
        files += [f"{folder}/{file}" for file in ("manifest.json", "excluded.csv", "labels.json")]
    for dataset in flow.datasets:
        folder = f"{RESULTS}/datasets/{dataset}"
        files += [f"{folder}/manifest.json", f"{folder}/rejects.csv"]
        if flow.is_text(dataset):
            files.append(f"{folder}/chunks.json")
    for name, chosen in flow.experiments.items():
        folder = f"{RESULTS}/models/{chosen.model}"
        files += [f"{folder}/{file}" for file in ("manifest.json", "weights.sha256")]
        files += [
            f"{folder}/tokenizer.sha256",
            flow.paths.weights(chosen.model, chosen.quantization),
        ]
        if chosen.quantization == "gptq":
            files.append(f"{flow.paths.base_dir(chosen.model, 'gptq')}/manifest.json")
        for split in ("train", "validation"):
            tokens = flow.paths.tokens(name, split)
            files += [tokens, str(PurePosixPath(tokens).with_suffix(".json"))]
    return list(dict.fromkeys(files))


def adapters(flow: Flow) -> list[str]:
    """The folders of all adapters."""
    return [path for name in flow.experiments for path in flow.paths.runs(name, "adapter")]


def workflow() -> list[str]:
    """The files of the project, as paths that can be opened from here."""
    files = {path for pattern in WORKFLOW for path in ROOT.glob(pattern) if path.is_file()}
    left_out = {"__pycache__", ".snakemake"}
    return sorted(str(path) for path in files if not left_out & set(path.parts))


def sources(flow: Flow) -> list[str]:
    """The files of this machine that the run reads, those of data/sample apart."""
    return [
        path
        for name in flow.datasets
        if isinstance(flow.settings.datasets[name], FileDataset)
        for path in flow.paths.source(name)
    ]


def settings(flow: Flow, config: Mapping[str, Any]) -> dict[str, Any]:
    """What archive_run depends on beside its files.

    config: the mapping that snakemake read, with what was set on the command line.
    """
    paths = moved(flow)
    return {
        "config": text(flow, config),
        "moved": paths,
        "inputs": {key: one for name in flow.datasets for key, one in _data(flow, name, paths)}
        | {
            f"models.{name}": _input(flow.settings.models[name], paths)
            for name in dict.fromkeys(e.model for e in flow.experiments.values())
        },
        "parameters": dict(_leaves(_used(flow, config))),
        "experiments": list(flow.experiments),
        "snakemake": version("snakemake"),
    }


def moved(flow: Flow) -> dict[str, str]:
    """Path in config.yaml -> path in the archive's, where that cannot be the same."""
    paths = {}
    for name, one in flow.settings.datasets.items():
        files = flow.paths.source(name) if isinstance(one, FileDataset) else []
        for path, short in zip(files, below_shared_folder(files), strict=True):
            if not _is_inside(path):
                paths[path] = f"data/local/{name}/{short}"
    for name, one in flow.settings.models.items():
        if isinstance(one, LocalModel) and not _is_inside(one.path):
            paths[one.path] = f"models/{name}"
    return paths


def text(flow: Flow, config: Mapping[str, Any]) -> str:
    """config.yaml of the archive."""
    changed, paths = copy.deepcopy(dict(config)), moved(flow)
    for name, one in changed.get("datasets", {}).items():
        parts = flow.paths.given_files(name) if "path" in one else {}
        if any(file in paths for files in parts.values() for file in files):
            places = {split: [paths.get(f, f) for f in files] for split, files in parts.items()}
            shown = {s: files[0] if len(files) == 1 else files for s, files in places.items()}
            one["path"] = shown.get("", shown)
    for name, one in changed.get("models", {}).items():
        if "path" in one:
            one["path"] = paths.get(flow.settings.models[name].path, one["path"])
    plain = yaml.safe_dump(changed, sort_keys=False, allow_unicode=True, width=100)
    return HEAD + plain


def _is_inside(path: str) -> bool:
    """Whether a path leads to a file of the folder that snakemake runs in, and of no results."""
    parts = PurePosixPath(path).parts
    return not Path(path).is_absolute() and ".." not in parts and parts[0] not in (RESULTS, "run")


def _data(flow: Flow, name: str, paths: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, where it comes from) of a dataset, of one of several files for each of them."""
    chosen, files = flow.settings.datasets[name], flow.paths.source(name)
    if isinstance(chosen, MixtureDataset):
        return  # its datasets are there themselves
    if not isinstance(chosen, FileDataset):
        yield f"datasets.{name}", _input(chosen, paths)
        return
    for number, path in enumerate(files, 1):
        numbered = f".{number}" if len(files) > 1 else ""
        place = paths.get(path, str(PurePosixPath(path)))
        yield f"datasets.{name}{numbered}", {"file": place}


def _input(chosen: Any, paths: Mapping[str, str]) -> dict[str, Any]:
    """Where a dataset or a model comes from: a file of the archive, an address, or neither."""
    if isinstance(chosen, HubDataset | HubModel):
        kind = "datasets/" if isinstance(chosen, HubDataset) else ""
        address = f"https://huggingface.co/{kind}{chosen.id}/tree/{chosen.revision}"
        return {"address": address, "name": chosen.id, "version": chosen.revision}
    if isinstance(chosen, UrlDataset):
        return {"address": chosen.url, "name": chosen.url, "sha256": chosen.sha256}
    if isinstance(chosen, LocalModel):
        return {"folder": paths.get(chosen.path, chosen.path)}
    if isinstance(chosen, PretrainModel):
        return {"built": True}
    return {"file": f"data/sample/{SAMPLES[chosen.name]}"}


def _used(flow: Flow, config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the mapping that the chosen experiments read, in its own order."""
    models = {e.model for e in flow.experiments.values()}
    names = {
        "datasets": set(flow.datasets),
        "models": models,
        "tasks": set(flow.all_tasks),
        "experiments": set(flow.experiments),
    }
    return {
        key: {name: part for name, part in value.items() if name in names[key]}
        if key in names
        else value
        for key, value in yaml.safe_load(text(flow, config)).items()
    }


def _leaves(node: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """("tasks.news.max_length", 256) for each setting; a list is one value."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, node
