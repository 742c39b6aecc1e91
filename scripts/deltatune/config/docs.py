"""The table of settings and the JSON Schema in docs/, written from the typed model.

`python -m deltatune.config.docs` in scripts/ rewrites both; a test fails when they are old.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticUndefined

from deltatune.config import model as settings_model
from deltatune.core.paths import ROOT
from deltatune.tasks.registry import available_kinds, load_kind

DOCS = ROOT / "docs"
INTRODUCTION = """# Settings

Every key of config.yaml with its default. A key that is not listed here is refused, with a
suggestion of a similar one. `docs/config.schema.json` is the JSON Schema for editors with YAML
support. This page is generated from the typed model (`scripts/deltatune/config/model.py` and
`scripts/deltatune/tasks/`): `cd scripts && python -m deltatune.config.docs`.

Write `1.0e-4`, not `1e-4`, if other programs read the file too: YAML 1.1 reads the second as text.
Here both are numbers.
"""


def page() -> str:
    """docs/settings.md."""
    parts = [INTRODUCTION, _table("Top level", settings_model.Settings)]
    parts += [
        _section("datasets", _by_source(settings_model.AnyDataset)),
        _section("models", _by_source(settings_model.AnyModel)),
    ]
    for kind in available_kinds():
        parts.append(_table(f"tasks.NAME, kind: {kind}", load_kind(kind).Settings))
    parts.append(_table("experiments.NAME", settings_model.Experiment))
    parts += [
        _table("statistics", settings_model.Statistics),
        _table("report", settings_model.Report),
    ]
    parts.append(_table("hardware", settings_model.Hardware))
    parts.append(_table("cluster", settings_model.Cluster))
    return "\n".join(parts)


class _Untitled(GenerateJsonSchema):
    """Without a title for each key, which would be the key again ("Vocab Size")."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema() -> dict[str, Any]:
    """JSON Schema of config.yaml."""
    return settings_model.Settings.model_json_schema(schema_generator=_Untitled)


def write(folder: Path = DOCS) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "settings.md").write_text(page(), encoding="utf-8")
    # A line for each key, so that an edit is one in the file too; indented, it is a quarter larger.
    text = json.dumps(schema(), indent=0, ensure_ascii=False)
    (folder / "config.schema.json").write_text(text + "\n", encoding="utf-8")


def _by_source(union: Any) -> dict[str, type[BaseModel]]:
    """The members of a union, by their `source`."""
    members = get_args(get_args(union)[0])
    return {get_args(model.model_fields["source"].annotation)[0]: model for model in members}


def _section(name: str, sources: dict[str, type[BaseModel]]) -> str:
    return "\n".join(_table(f"{name}.NAME, source: {s}", model) for s, model in sources.items())


def _table(title: str, model: type[BaseModel]) -> str:
    lines = [f"## {title}\n", "| key | default | description |", "|---|---|---|"]
    lines += _rows(model, "")
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = next(iter(settings_model.sections_in(field.annotation)), None)
        is_section = isinstance(field.annotation, type) and inner is not None
        # A section has no default of its own: its keys have, which follow it.
        default = "" if is_section else _default(field)
        about = _about(model, name).replace("\n", " ").replace("|", "\\|")
        rows.append(f"| `{key}` | {default} | {about} |")
        named = get_origin(field.annotation) is dict
        # What the top level holds by name has tables of its own.
        if inner is not None and not (named and model is settings_model.Settings):
            rows += _rows(inner, f"{key}.NAME." if named else f"{key}.")
    return rows


def _about(model: type[BaseModel], name: str) -> str:
    """The description of a key, inherited where a kind changes its default alone."""
    if name == "source" and model is not settings_model.Published:
        return "The kind of source."
    fields = (m.model_fields.get(name) for m in model.__mro__ if issubclass(m, BaseModel))
    return next((field.description for field in fields if field and field.description), "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined or isinstance(value, BaseModel):
        return ""
    return f"`{json.dumps(value, ensure_ascii=False)}`".replace("|", "\\|")


if __name__ == "__main__":
    write()
