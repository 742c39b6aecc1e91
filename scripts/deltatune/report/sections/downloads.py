"""Tables that the page carries as links."""

import base64

from markupsafe import Markup

from deltatune.core.text import file_size
from deltatune.report.data import ReportData

NAME, TITLE = "downloads", "Downloads"

BUDGET = 250_000
"""Bytes of CSV text that the page carries."""


def view(data: ReportData) -> list[dict] | None:
    """Each file with its link, or without one where the page would grow too heavy."""
    contents = {name: text.encode("utf-8", "replace") for name, text in data.downloads.items()}
    left, links = BUDGET, {}
    for name, content in sorted(contents.items(), key=lambda item: (len(item[1]), item[0])):
        if len(content) <= left:
            left -= len(content)
            links[name] = data_uri(content)
    return [
        {"name": name, "size": file_size(len(content)), "href": links.get(name)}
        for name, content in contents.items()
    ] or None


def data_uri(content: bytes) -> Markup:
    # No template has to look at it, or may cut it.
    return Markup(f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}")
