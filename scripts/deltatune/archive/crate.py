"""RO-Crate metadata of an archive: a workflow and its run.

The words are those of RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), Workflow RO-Crate 1.0 and
Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5): the workflow is the main entity,
the run a CreateAction with what went in as `object` and what came out as `result`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from deltatune.core.version import __version__

METADATA = "ro-crate-metadata.json"
PREVIEW = "ro-crate-preview.html"
RUN = "run"
"""The folder of the run's results in an archive."""
MAIN = "Snakefile"
LICENSE = "LICENSE"
NO_LICENSE = "#license"
PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LANGUAGE = "https://w3id.org/workflowhub/workflow-ro-crate#snakemake"
SNAKEMAKE = "https://snakemake.readthedocs.io"
FORMATS = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
    ".py": "text/x-python",
    ".svg": "image/svg+xml",
    ".toml": "application/toml",
    ".tsv": "text/tab-separated-values",
    ".yaml": "application/yaml",
}
TYPES = {bool: "Boolean", int: "Integer", float: "Float"}
#: What a reader looks for first, with what it is.
OUTPUTS = {
    "report.html": "The page to read: what the tuning changed",
    "verdict.txt": "The same in a few sentences",
    "comparison.csv": "Tuned against base, one row for each experiment and metric",
    "cross_task.csv": "The same on tasks that were not trained on",
    "baselines.csv": "Tuned against each plain baseline of its task",
}


@dataclass(frozen=True)
class File:
    """A file of the archive: its path there, its size in bytes and its hash."""

    name: str
    size: int
    sha256: str


def metadata(
    files: Sequence[File],
    settings: Mapping[str, Any],
    *,
    start: datetime,
    end: datetime,
    versions: Iterable[tuple[str, str]],
    verdict: str,
) -> dict[str, Any]:
    """ro-crate-metadata.json.

    files: all files of the archive but those of the crate itself. settings: as
    `contents.settings` gives them. start, end: of the run. versions: (package, version) that
    computed it. Equal arguments give an equal document.
    """
    names = {file.name for file in files}
    adapters = [folder for folder in sorted(_adapters(names)) if _files_in(names, folder)]
    in_adapters = {name for folder in adapters for name in _files_in(names, folder)}
    parts = [_address(file.name) for file in files if file.name not in in_adapters]
    parts += [f"{_address(folder)}/" for folder in adapters]
    inputs, outputs = _inputs(settings), _outputs(names)
    parameters = [*inputs.parameters, *outputs]
    software = [_software(name, version) for name, version in sorted(set(versions))]
    fingerprint = "".join(f"{file.sha256} {file.name}\n" for file in files)
    run = f"#{uuid.uuid5(uuid.NAMESPACE_URL, fingerprint)}"
    experiments = ", ".join(settings["experiments"])
    addresses = [entity["@id"] for entity in inputs.addresses]
    results = [part for part in parts if part.startswith(f"{RUN}/")]
    return {
        "@context": [
            "https://w3id.org/ro/crate/1.1/context",
            "https://w3id.org/ro/terms/workflow-run/context",
        ],
        "@graph": [
            *_crate(experiments, verdict, run, end, [*parts, *addresses]),
            *_standards(settings["snakemake"]),
            _action(experiments, run, start, end, ["config.yaml", *inputs.objects], results),
            _no_license(LICENSE in names),
            *_files(files, parameters, _workflow(names, inputs.parameters, outputs, software)),
            *(_adapter(folder, names) for folder in adapters),
            *inputs.addresses,
            *parameters,
            *inputs.values,
            *software,
        ],
    }


def _crate(
    experiments: str, verdict: str, run: str, end: datetime, parts: Iterable[str]
) -> list[dict[str, Any]]:
    """The document itself, and the archive."""
    return [
        {
            "@id": METADATA,
            "@type": "CreativeWork",
            "about": _to("./"),
            "conformsTo": [
                _to("https://w3id.org/ro/crate/1.1"),
                _to("https://w3id.org/workflowhub/workflow-ro-crate/1.0"),
            ],
        },
        {
            "@id": "./",
            "@type": "Dataset",
            "name": f"A run of deltatune: {experiments}",
            "description": f"{verdict} What was run is here with its configuration, to be run "
            f"again; what came out is in {RUN}/.",
            "datePublished": end.astimezone(UTC).isoformat(),
            "license": _to(NO_LICENSE),
            "conformsTo": [_to(profile) for profile in PROFILES],
            "mainEntity": _to(MAIN),
            "mentions": _to(run),
            "hasPart": [_to(part) for part in parts],
        },
    ]


def _action(
    experiments: str,
    run: str,
    start: datetime,
    end: datetime,
    objects: Iterable[str],
    results: Iterable[str],
) -> dict[str, Any]:
    """The run: what went in, and what came out."""
    return {
        "@id": run,
        "@type": "CreateAction",
        "name": f"The run of {experiments}",
        "description": "snakemake with the settings of config.yaml",
        "instrument": _to(MAIN),
        "startTime": start.astimezone(UTC).isoformat(),
        "endTime": end.astimezone(UTC).isoformat(),
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "object": [_to(one) for one in objects],
        "result": [_to(one) for one in results],
    }


def _standards(snakemake: str) -> list[dict[str, Any]]:
    """The profiles that the crate conforms to, and the language of the workflow."""
    return [
        *(
            {"@id": profile, "@type": "CreativeWork", "name": name, "version": version}
            for profile, (name, version) in PROFILES.items()
        ),
        {
            "@id": LANGUAGE,
            "@type": "ComputerLanguage",
            "name": "Snakemake",
            "identifier": _to(SNAKEMAKE),
            "url": _to(SNAKEMAKE),
            "version": snakemake,
        },
    ]


def _outputs(names: Collection[str]) -> list[dict[str, Any]]:
    """The parameters for what a reader looks for first, of what is there."""
    return [
        _parameter(f"output/{name}", "File", f"{RUN}/{name}", name)
        for name in OUTPUTS
        if f"{RUN}/{name}" in names
    ]


def _workflow(
    names: Collection[str],
    inputs: Iterable[dict[str, Any]],
    outputs: Iterable[dict[str, Any]],
    software: Iterable[dict[str, Any]],
) -> dict[str, Any]:
    """What the main file is beside a file. inputs, outputs: parameters."""
    return {
        "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
        "name": "deltatune: tunes language models, and measures what that changed",
        "version": __version__,
        "programmingLanguage": _to(LANGUAGE),
        "softwareRequirements": [_to(entity["@id"]) for entity in software],
        "input": [_to(parameter["@id"]) for parameter in inputs],
        "output": [_to(parameter["@id"]) for parameter in outputs],
        **({"url": _to("README.md")} if "README.md" in names else {}),
        **({"license": _to(LICENSE)} if LICENSE in names else {}),
    }


def text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class _Inputs:
    """parameters: of the workflow. values: those that are no files. objects: addresses of all that
    the run read, each once. addresses: what lies on a server."""

    parameters: list[dict[str, Any]]
    values: list[dict[str, Any]]
    objects: list[str]
    addresses: list[dict[str, Any]]


def _inputs(settings: Mapping[str, Any]) -> _Inputs:
    parameters, values, objects, addresses = [], [], [], []
    for name, source in settings["inputs"].items():
        if "file" in source:
            objects.append(_address(source["file"]))
            parameters.append(_parameter(f"input/{name}", "File", objects[-1], name))
        elif "address" in source:
            address = source["address"]
            parameter = _parameter(f"input/{name}", "Dataset", address, name)
            optional = {key: source[key] for key in ("version", "sha256") if source.get(key)}
            addresses.append(
                {
                    "@id": address,
                    "@type": "Dataset",
                    "name": source["name"],
                    "url": address,
                    **optional,
                    "exampleOfWork": _to(parameter["@id"]),
                }
            )
            objects.append(address)
            parameters.append(parameter)
    for name, value in settings["parameters"].items():
        identity = f"#setting/{_address(name)}"
        kind = TYPES.get(type(value), "Text")
        parameter = _parameter(f"parameter/{name}", kind, identity, name)
        values.append(
            {
                "@id": identity,
                "@type": "PropertyValue",
                "name": name,
                "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
                "exampleOfWork": _to(parameter["@id"]),
            }
        )
        objects.append(identity)
        parameters.append(parameter)
    return _Inputs(parameters, values, list(dict.fromkeys(objects)), _once(addresses))


def _once(entities: Iterable[dict]) -> list[dict]:
    """Each entity once; where two parameters have the same value, it is that of the first."""
    by_id: dict[str, dict] = {}
    for entity in entities:
        by_id.setdefault(entity["@id"], entity)
    return list(by_id.values())


def _parameter(identity: str, kind: str, example: str, name: str) -> dict[str, Any]:
    return {
        "@id": f"#{_address(identity)}",
        "@type": "FormalParameter",
        "additionalType": kind,
        "name": name,
        "workExample": _to(example),
    }


def _files(
    files: Iterable[File], parameters: Iterable[dict[str, Any]], workflow: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """parameters: of the workflow, whose files name them. workflow: of the main file."""
    example_of = {p["workExample"]["@id"]: _to(p["@id"]) for p in parameters}
    entities = [_file(file) for file in files]
    for entity in entities:
        if entity["@id"] in example_of:
            entity["exampleOfWork"] = example_of[entity["@id"]]
        if entity["@id"] == MAIN:
            entity |= workflow
    return entities


def _file(file: File) -> dict[str, Any]:
    path = PurePosixPath(file.name)
    entity = {
        "@id": _address(file.name),
        "@type": "File",
        "name": path.name,
        "contentSize": str(file.size),
        "sha256": file.sha256,
        "encodingFormat": FORMATS.get(path.suffix, "text/plain"),
    }
    if path.suffix == ".safetensors":
        entity["encodingFormat"] = "application/octet-stream"
    if path.parts[0] == RUN:
        entity["alternateName"] = str(PurePosixPath("results", *path.parts[1:]))
        entity["description"] = OUTPUTS.get("/".join(path.parts[1:]), "")
    if file.name == "README.md":
        entity["about"] = _to("./")
    if file.name == LICENSE:
        entity["@type"] = ["File", "CreativeWork"]
        entity["name"] = "Apache License 2.0"
        entity["identifier"] = "https://spdx.org/licenses/Apache-2.0"
    return {key: value for key, value in entity.items() if value}


def _software(name: str, version: str) -> dict[str, Any]:
    """A package by its package URL, which names it wherever it is got from."""
    kind = "generic" if name == "python" else "pypi"
    return {
        "@id": f"pkg:{kind}/{name}@{quote(version)}",
        "@type": "SoftwareApplication",
        "name": name,
        "softwareVersion": version,
    }


def _adapters(names: Iterable[str]) -> set[str]:
    paths = map(PurePosixPath, names)
    return {str(path.parent) for path in paths if path.name == "adapter_config.json"}


def _adapter(folder: str, names: Iterable[str]) -> dict[str, Any]:
    return {
        "@id": f"{_address(folder)}/",
        "@type": "Dataset",
        "name": f"The LoRA adapter of {', '.join(PurePosixPath(folder).parts[2:4])}",
        "hasPart": [_to(_address(name)) for name in sorted(_files_in(names, folder))],
    }


def _no_license(workflow_is_licensed: bool) -> dict[str, Any]:
    """What the profile asks for, a license of the whole: models and datasets are not ours to
    license, and the results are those of whoever made the run."""
    workflow = f"The workflow is under the Apache License 2.0 ({LICENSE}). "
    return {
        "@id": NO_LICENSE,
        "@type": "CreativeWork",
        "name": "No license is stated for the whole",
        "description": f"{workflow if workflow_is_licensed else ''}Whoever made this run has "
        "stated none for its results. Models and datasets of others have their own.",
    }


def _files_in(names: Iterable[str], folder: str) -> set[str]:
    return {name for name in names if name.startswith(f"{folder}/")}


def _address(name: str) -> str:
    """A path as an address inside the archive."""
    return quote(name)


def _to(identity: str) -> dict[str, str]:
    return {"@id": identity}
