"""What `snakemake preview` shows, as types."""

from __future__ import annotations

from deltatune.core.schema import Section
from deltatune.tokens.settings import Truncation


class Previewed(Section):
    """A task as one model reads it."""

    task: str
    kind: str
    """What tasks of its kind are called."""
    model: str
    experiments: list[str]
    max_length: int
    packing: bool = True
    truncation: Truncation
    rows: str
    """The folder of its packed rows, below results/; manifest and pieces lie beside it."""
    tokenizer: str
    """The folder of the model's tokenizer, below results/."""


class PreviewSettings(Section):
    tasks: list[Previewed]
