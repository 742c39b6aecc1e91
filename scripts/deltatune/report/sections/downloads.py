"""Tables that the page carries as links."""

import base64
from collections.abc import Mapping

from deltatune.core.text import file_size

BUDGET = 250_000
"""Bytes of CSV text that the page carries."""


def view(downloads: Mapping[str, str]) -> list[dict]:
    """Each file with its link, or without one where the page would grow too heavy."""
    contents = {name: text.encode("utf-8", "replace") for name, text in downloads.items()}
    left, links = BUDGET, {}
    for name, content in sorted(contents.items(), key=lambda item: (len(item[1]), item[0])):
        if len(content) <= left:
            left -= len(content)
            links[name] = data_uri(content)
    return [
        {"name": name, "size": file_size(len(content)), "href": links.get(name)}
        for name, content in contents.items()
    ]


def data_uri(content: bytes) -> str:
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content).decode()}"
