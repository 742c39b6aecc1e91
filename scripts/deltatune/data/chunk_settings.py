"""What the chunks of a text depend on, as types: the params of `chunk_text`."""

from __future__ import annotations

from pydantic import Field

from deltatune.core.schema import Section


class Chunks(Section):
    max_words: int = Field(200, ge=8, le=100_000)
    """Maximum length of a chunk of plain text, in words; chunks end at a sentence boundary."""
