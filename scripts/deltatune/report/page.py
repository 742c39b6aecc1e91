"""The page: plain data in, one HTML text out.

The page needs nothing but itself: no network, no font, no script of another place. Every text in it
passes Jinja's autoescape or markupsafe, and a content security policy lets no script run but its
own. The same data make the same bytes: there is no date, no random id, no order left to chance.
"""

import base64
import hashlib
from pathlib import Path

import jinja2
from markupsafe import Markup

from deltatune.core.version import __version__
from deltatune.report import markup, numbers, table_html
from deltatune.report.data import ReportData
from deltatune.report.page_files import SCRIPTS, STYLES
from deltatune.report.sections import matrix, registry
from deltatune.report.text import brief
from deltatune.report.words import verdict


def render(data: ReportData, template: Path) -> str:
    """The report as one HTML text.

    template: page.html.j2; the other `page_files` lie beside it
    """
    folder = Path(template).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else _text(value),
    )
    environment.filters["code"] = markup.code
    environment.filters["table"] = table_html.to_html
    environment.filters["save"] = table_html.save
    scripts = [inline(folder / name) for name in SCRIPTS]
    sections = registry.views(data)
    text = environment.get_template(Path(template).name).render(
        title=data.title,
        subtitle=subtitle(data),
        verdict=verdict.summarize(data).parts,
        sections=sections,
        overview=next((one["view"] for one in sections if one["name"] == matrix.NAME), None),
        style=Markup("\n").join(inline(folder / name) for name in STYLES),
        first_script=scripts[0],
        scripts=scripts[1:],
        policy=Markup(" ").join(Markup(f"'{csp_hash(script)}'") for script in scripts),
        version=__version__,
    )
    return text if text.endswith("\n") else text + "\n"


def inline(path: Path) -> Markup:
    """A style sheet or script of the project, as the content of its element."""
    return Markup(path.read_text(encoding="utf-8").strip())


def _text(value):
    """Whatever a template writes, made visible and of a bounded length; autoescape follows."""
    return brief(value) if isinstance(value, str) else value


def csp_hash(script: str) -> str:
    """The source expression that lets just this inline script run."""
    digest = hashlib.sha256(str(script).encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode()


def subtitle(data: ReportData) -> str:
    """'3 experiments · 3 tasks · tiny-mistral · Linux x86_64'."""
    models = sorted({str(one.get("model", "")) for one in data.experiments.values()} - {""})
    tuned_on = {one.get("task") for one in data.experiments.values()}
    finished = "finished experiments" if data.missing_results else "experiments"
    parts = [numbers.plural(len(data.experiments), finished)]
    if data.experiments:
        parts.append(numbers.plural(len(tuned_on), "tasks"))
    if models:
        parts.append(", ".join(models) if len(models) <= 3 else f"{len(models)} models")
    hardware = data.provenance.get("hardware") or data.provenance.get("machine")
    if isinstance(hardware, str) and hardware:
        parts.append(hardware)
    return " · ".join(parts)
