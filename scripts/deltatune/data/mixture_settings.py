"""What a mixture of datasets depends on, as types. Needs no tables to be imported."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from deltatune.core.schema import Name, Section, Seed


class MixtureSource(Section):
    """Records of other datasets, in given shares."""

    source: Literal["mixture"]
    of: dict[Name, Annotated[float, Field(gt=0)]] = Field(min_length=2)
    """Dataset -> its weight: its share of the rows that are drawn is its weight by the sum of all.
    Fields are mapped by `columns` of each of these datasets."""
    records: int | None = Field(None, ge=2)
    """Number of rows that are drawn in all, none of them twice; null: as many as there are for
    these shares."""
    seed: Seed = 0
    """Seed of the draw."""

    @field_validator("of")
    @classmethod
    def _sorted(cls, of: dict[str, float]) -> dict[str, float]:
        # Their order changes no result.
        return dict(sorted(of.items()))


class MixtureSettings(MixtureSource):
    """All that decides a mixture, its parts and the code apart: the params of `mix_datasets`."""

    dataset: str
    used: list[str]
    """Fields that tasks look at."""
