"""The page of an archive: its metadata for people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2

from deltatune.archive import crate


def render(template: Path, document: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """ro-crate-preview.html.

    template: report/crate.html.j2. document: as `crate.metadata` gives it. settings: as
    `contents.settings` gives them. Every value is escaped; equal arguments give equal bytes.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    graph = document["@graph"]
    by_id = {entity["@id"]: entity for entity in graph}
    action = next(entity for entity in graph if entity["@type"] == "CreateAction")
    files = [entity for entity in graph if "sha256" in entity and "contentSize" in entity]
    return environment.from_string(template.read_text(encoding="utf-8")).render(
        root=by_id["./"],
        action=action,
        license=by_id[by_id["./"]["license"]["@id"]],
        run=crate.RUN,
        results=[e for e in files if e["@id"].startswith(f"{crate.RUN}/")],
        project=[e for e in files if not e["@id"].startswith(f"{crate.RUN}/")],
        inputs=settings["inputs"],
        outputs=[f"{crate.RUN}/{name}" for name in crate.OUTPUTS if f"{crate.RUN}/{name}" in by_id],
        described=crate.OUTPUTS,
        parameters=[e for e in graph if e["@type"] == "PropertyValue"],
        software=[e for e in graph if e["@type"] == "SoftwareApplication"],
        snakemake=settings["snakemake"],
    )
