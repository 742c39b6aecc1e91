"""The base class and the field types of all settings."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from deltatune.core.errors import UserError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def _name(value: str) -> str:
    """Names become folders and wildcards: nothing that could leave results/ or split a path."""
    if not NAME.fullmatch(value) or ".." in value or len(value) > 80:
        raise ValueError(
            f"'{value}' cannot be a name: use at most 80 letters, digits, '-', '_' or '.', "
            "beginning with a letter or digit and without '..'"
        )
    return value


def _repo_id(value: str) -> str:
    """What the hub takes: `name` or `owner/name`."""
    if not re.fullmatch(r"(?:[\w.-]{1,96}/)?[\w.-]{1,96}", value, re.ASCII) or ".." in value:
        raise ValueError(f"'{value}' is not a repository name on the hub; write owner/name")
    return value


def _pinned(value: str) -> str:
    """A branch changes with time, and a run could not be repeated."""
    if value in ("main", "master", "HEAD") or value.startswith("refs/"):
        raise ValueError(
            f"'{value}' changes with time; give a commit (40 hex digits, listed on the hub under "
            "Files and versions, History) or a tag"
        )
    if not re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*", value, re.ASCII) or ".." in value:
        raise ValueError(f"'{value}' is not a commit or tag")
    return value


RepoId = Annotated[str, AfterValidator(_repo_id)]
Revision = Annotated[str, AfterValidator(_pinned)]
Name = Annotated[str, AfterValidator(_name)]
HomePath = Annotated[str, Field(min_length=1), AfterValidator(os.path.expanduser)]
"""A path; `~` is the user's own folder."""
Share = Annotated[float, Field(ge=0, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Section(BaseModel):
    """A part of config.yaml: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False
    )

    def __class_getitem__(cls, types: Any) -> type[Self]:
        """A generic section with its types: pydantic forgets it as soon as nothing has it, and
        makes it again, which takes milliseconds for each of thousands of jobs."""
        return _with_types(cls, types)

    @classmethod
    def part_of(cls, whole: Section, **others: Any) -> Self:
        """The fields that a section has too, as it has them. others: the values of all others."""
        names = cls.model_fields.keys() - others.keys()
        return cls(**{name: getattr(whole, name) for name in names}, **others)

    @classmethod
    def from_params(cls, params: dict[str, Any]) -> Self:
        """A stage's settings in its script, from the dump of them that its rule passed.

        Raises UserError for a value that is refused here and was not where config.yaml was read,
        which may be an environment with fewer packages.
        """
        try:
            return cls.model_validate(params)
        except ValidationError as error:
            messages = [
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].removeprefix('Value error, ')}"
                for e in error.errors()
            ]
        raise UserError("\n".join(messages))


@cache
def _with_types(section: type[Section], types: Any) -> type[Section]:
    return super(Section, section).__class_getitem__(types)
