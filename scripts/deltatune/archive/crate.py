"""What an archive says about itself: RO-Crate metadata of a workflow and its run.

The words are those of RO-Crate 1.1 (https://w3id.org/ro/crate/1.1), Workflow RO-Crate 1.0 and
Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5): the workflow is the main entity,
the run a CreateAction with what went in as `object` and what came out as `result`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
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
    adapters = [one for one in sorted(_adapters(names)) if _part_of(names, one)]
    inside = {name for one in adapters for name in _part_of(names, one)}
    slots, values, objects, addresses = _inputs(settings)
    outputs = [name for name in OUTPUTS if f"{RUN}/{name}" in names]
    slots += [_slot(f"output/{name}", "File", f"{RUN}/{name}", name) for name in outputs]
    filled = {slot["workExample"]["@id"]: slot["@id"] for slot in slots}
    software = [_software(name, version) for name, version in sorted(set(versions))]
    identity = "".join(f"{file.sha256} {file.name}\n" for file in files)
    run = f"#{uuid.uuid5(uuid.NAMESPACE_URL, identity)}"
    licenses = [_address(name) for name in sorted(names) if name.startswith("LICENSE")]
    license = licenses[0] if licenses else "#license"
    experiments = ", ".join(settings["experiments"])
    graph: list[dict[str, Any]] = [
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
            "license": _to(license),
            "conformsTo": [_to(profile) for profile in PROFILES],
            "mainEntity": _to(MAIN),
            "mentions": _to(run),
            "hasPart": [
                *(_to(_address(file.name)) for file in files if file.name not in inside),
                *(_to(f"{_address(one)}/") for one in adapters),
                *(_to(one["@id"]) for one in addresses),
            ],
        },
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
            "version": settings["snakemake"],
        },
        {
            "@id": run,
            "@type": "CreateAction",
            "name": f"The run of {experiments}",
            "description": "snakemake with the settings of config.yaml",
            "instrument": _to(MAIN),
            "startTime": start.astimezone(UTC).isoformat(),
            "endTime": end.astimezone(UTC).isoformat(),
            "actionStatus": "http://schema.org/CompletedActionStatus",
            "object": [_to("config.yaml"), *map(_to, objects)],
            "result": [
                *(
                    _to(_address(file.name))
                    for file in files
                    if file.name.startswith(f"{RUN}/") and file.name not in inside
                ),
                *(_to(f"{_address(one)}/") for one in adapters),
            ],
        },
    ]
    if not licenses:
        graph.append(
            {
                "@id": license,
                "@type": "CreativeWork",
                "name": "No license is stated",
                "description": "Whoever made this run has named none. Models and data sets from "
                "elsewhere keep their own.",
            }
        )
    for file in files:
        entity = _file(file)
        if (slot := filled.get(entity["@id"])) is not None:
            entity["exampleOfWork"] = _to(slot)
        if file.name == MAIN:
            entity |= {
                "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow"],
                "name": "deltatune: tunes language models, and measures what that changed",
                "version": __version__,
                "programmingLanguage": _to(LANGUAGE),
                "softwareRequirements": [_to(one["@id"]) for one in software],
                "input": [_to(one["@id"]) for one in slots if "#output/" not in one["@id"]],
                "output": [_to(one["@id"]) for one in slots if "#output/" in one["@id"]],
            }
            if "README.md" in names:
                entity["url"] = _to("README.md")
        graph.append(entity)
    for one in adapters:
        parts = [_to(_address(name)) for name in sorted(_part_of(names, one))]
        name = f"The LoRA adapter of {', '.join(PurePosixPath(one).parts[2:4])}"
        graph.append(
            {"@id": f"{_address(one)}/", "@type": "Dataset", "name": name, "hasPart": parts}
        )
    graph += [*addresses, *slots, *values, *software]
    return {
        "@context": [
            "https://w3id.org/ro/crate/1.1/context",
            "https://w3id.org/ro/terms/workflow-run/context",
        ],
        "@graph": graph,
    }


def text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _inputs(
    settings: Mapping[str, Any],
) -> tuple[list[dict], list[dict], list[str], list[dict]]:
    """(parameters of the workflow, their values that are no files, what the run read, what lies
    at an address)."""
    slots, values, objects, addresses = [], [], [], []
    for name, source in settings["inputs"].items():
        if "file" in source:
            found = _address(source["file"])
            slots.append(_slot(f"input/{name}", "File", found, name))
        elif "address" in source:
            found, slot = source["address"], _slot(f"input/{name}", "Dataset", "", name)
            slot["workExample"] = _to(found)
            facts = {"version": source.get("version"), "sha256": source.get("sha256")}
            entity = {"@id": found, "@type": "Dataset", "name": source["name"], "url": found}
            entity |= {key: value for key, value in facts.items() if value}
            addresses.append({**entity, "exampleOfWork": _to(slot["@id"])})
            slots.append(slot)
        else:
            continue
        objects.append(found)
    for name, value in settings["parameters"].items():
        found = f"#setting/{_address(name)}"
        slot = _slot(f"parameter/{name}", TYPES.get(type(value), "Text"), found, name)
        told = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        entity = {"@id": found, "@type": "PropertyValue", "name": name, "value": told}
        values.append({**entity, "exampleOfWork": _to(slot["@id"])})
        slots.append(slot)
        objects.append(found)
    return slots, values, list(dict.fromkeys(objects)), _once(addresses)


def _once(entities: Iterable[dict]) -> list[dict]:
    """Each entity once; where two parameters have the same value, it is that of the first."""
    found: dict[str, dict] = {}
    for entity in entities:
        found.setdefault(entity["@id"], entity)
    return list(found.values())


def _slot(identity: str, kind: str, example: str, name: str) -> dict[str, Any]:
    return {
        "@id": f"#{_address(identity)}",
        "@type": "FormalParameter",
        "additionalType": kind,
        "name": name,
        "workExample": _to(example),
    }


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
    found = (PurePosixPath(name) for name in names)
    return {str(path.parent) for path in found if path.name == "adapter_config.json"}


def _part_of(names: Iterable[str], folder: str) -> set[str]:
    return {name for name in names if name.startswith(f"{folder}/")}


def _address(name: str) -> str:
    """A path as an address inside the archive."""
    return quote(name)


def _to(identity: str) -> dict[str, str]:
    return {"@id": identity}
