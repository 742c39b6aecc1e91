"""What the files of a base model depend on, as types. Needs no network client to be imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from deltatune.core.schema import HomePath, RepoId, Revision, Section


class LocalFolder(Section):
    """A local folder in the Hugging Face format."""

    source: Literal["local"]
    path: HomePath
    """The folder with config.json, the tokenizer and safetensors weights."""


class HubRepository(Section):
    """A model of the Hugging Face Hub."""

    source: Literal["hub"]
    id: RepoId
    """Repository, such as mistralai/Mistral-7B-v0.1."""
    revision: Revision
    """Commit or tag, so that the run is reproducible."""


class ModelSettings(Section):
    """All that decides the files of a base model, the content of a folder and the code apart: the
    params of `fetch_model`."""

    model: str
    source: Annotated[LocalFolder | HubRepository, Field(discriminator="source")]
