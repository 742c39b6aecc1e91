"""What the files of a base model depend on, as types. Needs no network client to be imported."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from deltatune.core.schema import HomePath, RepoId, Revision, Section

# Not of Jinja: transformers' mark of what an assistant writes.
_GENERATION = re.compile(r"{%-?\s*(?:end)?generation\s*-?%}")


def _parses(template: str) -> str:
    """Refuse what is no Jinja, where the config is read: the environment that fetches has none."""
    if find_spec("jinja2") is not None:
        from jinja2 import Environment, TemplateSyntaxError

        environment = Environment(extensions=["jinja2.ext.loopcontrols"], autoescape=True)
        try:
            environment.parse(_GENERATION.sub("", template))
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno} is no Jinja: {error.message}") from None
    return template


ChatTemplate = Annotated[str, Field(min_length=1), AfterValidator(_parses)]


class LocalFolder(Section):
    """A local folder in the Hugging Face format."""

    source: Literal["local"]
    path: HomePath
    """The folder with config.json, the tokenizer and safetensors weights."""
    chat_template: ChatTemplate | None = None
    """Chat template of your own, in Jinja, in place of the model's; null: the model's."""


class HubRepository(Section):
    """A model of the Hugging Face Hub."""

    source: Literal["hub"]
    id: RepoId
    """Repository, such as mistralai/Mistral-7B-v0.1."""
    revision: Revision
    """Commit or tag, so that the run is reproducible."""
    chat_template: ChatTemplate | None = None
    """Chat template of your own, in Jinja, in place of the model's; null: the model's."""


class ModelSettings(Section):
    """All that decides the files of a base model, the content of a folder and the code apart: the
    params of `fetch_model`."""

    model: str
    source: Annotated[LocalFolder | HubRepository, Field(discriminator="source")]
