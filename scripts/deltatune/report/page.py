"""The page: plain data in, one HTML text out.

The page needs nothing but itself: no network, no font, no script of another place. Every text in it
passes Jinja's autoescape or markupsafe, and a content security policy lets no script run but its
own. The same data make the same bytes: there is no date, no random id, no order left to chance.
"""

import base64
import hashlib
import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from deltatune.core.version import __version__
from deltatune.report import limits, numbers, verdict
from deltatune.report.data import ReportData
from deltatune.report.sections import (
    behavior,
    costs,
    differences,
    downloads,
    examples,
    losses,
    own_prompts,
    records,
    results,
    tasks,
)
from deltatune.report.text import clean


def render(data: ReportData, template: Path) -> str:
    """The report as one HTML text.

    template: page.html.j2; style.css lies beside it
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(template).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else _text(value),
    )
    environment.filters["csp_hash"] = csp_hash
    environment.filters["json_island"] = json_island
    environment.globals["version"] = __version__
    text = environment.get_template(Path(template).name).render(context(data))
    return text if text.endswith("\n") else text + "\n"


def _text(value):
    """Whatever a template writes, made visible; autoescape follows."""
    return clean(value) if isinstance(value, str) else value


def csp_hash(script: str) -> str:
    """The source expression that lets just this inline script run."""
    digest = hashlib.sha256(str(script).encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def json_island(value) -> Markup:
    """Data for the page's script, with nothing in it that could end its element."""
    text = json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def context(data: ReportData) -> dict:
    """Everything that the template reads."""
    example_views = examples.view(data)
    return {
        "title": data.title,
        "subtitle": subtitle(data),
        "summary": verdict.summarize(data),
        "badges": results.BADGES,
        "interval": numbers.interval_name(data.confidence),
        "results": results.view(data),
        "behavior": behavior.view(data),
        "limits": [str(one) for one in limits.shown(data)],
        "differences": differences.view(data),
        "experiments": tasks.view(data),
        "examples": example_views,
        "own_prompts": own_prompts.view(data),
        "island": {view["key"]: view["island"] for view in example_views},
        "losses": losses.view(data),
        "costs": costs.view(data.costs),
        "records": records.view(data.records),
        "provenance": data.provenance,
        "downloads": downloads.view(data.downloads),
    }


def subtitle(data: ReportData) -> str:
    """'3 experiments · 3 tasks · tiny-mistral · Linux x86_64'."""
    models = sorted({str(one.get("model", "")) for one in data.experiments.values()} - {""})
    tuned_on = {one.get("task") for one in data.experiments.values()}
    parts = [
        numbers.plural(len(data.experiments), "experiments"),
        numbers.plural(len(tuned_on), "tasks"),
    ]
    if models:
        parts.append(", ".join(models) if len(models) <= 3 else f"{len(models)} models")
    hardware = data.provenance.get("hardware") or data.provenance.get("machine")
    if isinstance(hardware, str) and hardware:
        parts.append(hardware)
    return " · ".join(parts)
