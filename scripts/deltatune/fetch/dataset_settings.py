"""What the records of a dataset depend on, as types. Needs no network client to be imported."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from deltatune.core.schema import RepoId, Revision, Section
from deltatune.data.formats import ARCHIVE, SUFFIXES, TEXT_SUFFIXES, suffix
from deltatune.data.readers.fields import template
from deltatune.data.records import SPLITS


def _well_formed(column: str | list[str]) -> str | list[str]:
    if isinstance(column, str):
        template(column)
    return column


Columns = dict[str, Annotated[str | list[str], AfterValidator(_well_formed)]]

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "arrow", "xlsx", "txt"]


class SampleSource(Section):
    """A file in data/sample; its content is a param of its own."""

    source: Literal["sample"]


class GivenSplits(Section):
    """What is train, validation and test; what is not named is cut from train."""

    @model_validator(mode="after")
    def _has_two(self) -> Self:
        if not self.named.keys() - {"train"}:
            raise ValueError("name `validation` or `test` too, or write what is `train` alone")
        return self

    @property
    def named(self) -> dict[str, Any]:
        """Split -> what it is, of those that are named, in the order of SPLITS."""
        parts = {name: getattr(self, name) for name in SPLITS}
        return {name: part for name, part in parts.items() if part is not None}


def either(single: Any, named: type[GivenSplits]) -> Any:
    """The type of a key that is `named` where it is a mapping, and `single` otherwise: so an error
    is one of the type that was meant."""
    return Annotated[
        Annotated[single, Tag("str")] | Annotated[named, Tag("dict[split]")],
        Discriminator(lambda value: "dict[split]" if isinstance(value, dict | named) else "str"),
    ]


HubSplit = Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]


class HubSplits(GivenSplits):
    train: HubSplit
    """Split of the hub to train on."""
    validation: HubSplit | None = None
    """Split of the hub to validate on; null: cut from train, as the task's `split` says."""
    test: HubSplit | None = None
    """Split of the hub to test on; null: cut from train, as the task's `split` says."""

    @model_validator(mode="after")
    def _distinct(self) -> HubSplits:
        parts = list(self.named.values())
        if twice := next((part for part in parts if parts.count(part) > 1), None):
            raise ValueError(f"'{twice}' is named twice; a record belongs to one split")
        return self


class FileSource(Section):
    """Files of the user; their content is a param of its own."""

    source: Literal["file"]
    format: Format | None = None
    """Format of the files; default: that of the suffix of each."""


class HubSource(Section):
    """A dataset of the Hugging Face Hub."""

    source: Literal["hub"]
    id: RepoId
    """Repository, such as tatsu-lab/alpaca."""
    config: str | None = None
    """Configuration (subset), if it has several."""
    split: either(HubSplit, HubSplits) = "train"
    """The split to read, which tasks divide, or `{train: NAME, test: NAME}` with `validation` or
    without, to take its splits as they are; what is not named is cut from train."""
    revision: Revision
    """Commit or tag, so that the run is reproducible."""


# Parameters of a URL that grant access: ?token=, ?X-Amz-Signature=, ?sig=, ?api_key=.
_SECRET = re.compile(
    r"token|secret|passw|pwd|signature|credential|api[-_.]?key|access[-_.]?key|^(sig|auth|key)$",
    re.IGNORECASE,
)


def _parameters(parts: SplitResult) -> list[str]:
    """Names of the parameters in the query and the fragment of a URL."""
    behind = [*parts.query.split("&"), *parts.fragment.split("&")]
    return [unquote(one.partition("=")[0]) for one in behind if "=" in one]


class UrlSource(Section):
    """A file at a URL."""

    source: Literal["url"]
    url: str
    """http or https."""
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Checksum of the file, verified after the download."""
    format: Format | None = None
    """Format of the file; default: that of the suffix of the URL."""
    gutenberg: bool | Literal["auto"] = "auto"
    """Remove the header and footer of Project Gutenberg; auto: if the text has them."""

    @model_validator(mode="after")
    def _fetchable(self) -> UrlSource:
        try:
            parts = urlsplit(self.url)
        except ValueError as error:
            raise ValueError(f"url: not a valid URL: {error}") from None
        secret = "@" in parts.netloc or any(map(_SECRET.search, _parameters(parts)))
        if secret:
            raise ValueError(
                "url: a URL with a password, a token or a signature would be written to the "
                "manifest and the report; download the file by hand and use `source: file`"
            )
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url: '{self.url}' must begin with https:// or http:// and a host")
        if self.format is None and self.suffix not in (*SUFFIXES, *TEXT_SUFFIXES, ARCHIVE):
            raise ValueError(
                f"format: this key is required, as '{self.url}' does not end in .csv, .json, .txt "
                "or another known suffix"
            )
        return self

    @property
    def suffix(self) -> str:
        return suffix(urlsplit(self.url).path)


class DatasetSettings(Section):
    """All that decides the records of a dataset, the content of files and the code apart: the
    params of `fetch_dataset`."""

    dataset: str
    source: Annotated[
        SampleSource | FileSource | HubSource | UrlSource, Field(discriminator="source")
    ]
    text: bool
    """Whether it is one plain text."""
    columns: Columns
    groups: list[str]
    """Columns that only `split.group` or `split.column` of its tasks asks for."""
    given: dict[str, int] = {}
    """Of files that name their splits: split -> number of its files, which follow each other."""
    used: list[str]
    """Fields that tasks look at: of all kinds, so that a task more, or of another kind, reads
    nothing again."""

    @field_validator("columns")
    @classmethod
    def _sorted(cls, columns: Columns) -> Columns:
        # Their order changes no result.
        return dict(sorted(columns.items()))
