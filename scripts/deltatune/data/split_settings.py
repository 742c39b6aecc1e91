"""What the splits of a task depend on, as types. Needs no frames to be imported."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BeforeValidator, Field, model_validator

from deltatune.core.schema import Section, Seed, Share

Count = Annotated[int, Field(ge=1)]


def _size(value: Any) -> Any:
    """A fraction below 1 or a whole number; 1.0 could be either, and all records or one."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"expected a number such as 0.2 or 200 (it is {value!r})") from None
    if 0 <= number < 1 or (number >= 1 and not isinstance(value, float)):
        return value
    raise ValueError(f"{value} is neither a fraction below 1 nor a number of records")


Size = Annotated[Share | Count, BeforeValidator(_size)]

Column = Annotated[str, Field(min_length=1)]

Method = Literal["random", "stratified", "contiguous", "hash"]

RecordSettings = TypeVar("RecordSettings", bound=Section)
"""`Records` of the kind of the task."""


class Split(Section):
    """The split into training, validation and test. A kind with another default method derives its
    own class, so that setting other keys of `split` does not change that default."""

    method: Method = "random"
    """random; stratified by label; contiguous: the last records in order are the test set; or hash:
    a hash of each record's text decides, so that added records move no other, and sizes are
    fractions that hold approximately."""
    column: Column | None = None
    """Column of the dataset that names the split of each record: train, validation (or dev, val,
    valid, eval) or test. A split that no record names is cut from train; null: all are cut here,
    unless the dataset names its splits."""
    validation: Size = 0.1
    """Fraction of the records, or their number; of those of train, where train is given. A
    validation split that is given is taken whole."""
    test: Size = 0.2
    """Fraction of the records, or their number, as `validation`."""
    train: Count | None = None
    """Use only this many of the training records, drawn as with `max_records`; null: all."""
    group: Column | Annotated[list[Column], Field(min_length=1)] | None = None
    """Column of the dataset, or a list of them, such as an author, a document or a prompt: records
    that are equal in all of them are in the same split. Sizes then hold approximately. Not with
    contiguous, which divides by order; null: each record by itself."""
    max_records: int | None = Field(None, ge=3)
    """Use only this many of the usable records, drawn with the seed, of each class and each given
    split in proportion; with contiguous the first; null: all."""
    near_duplicates: float | None = Field(0.85, gt=0, le=1)
    """Validation and test records at least this similar to a training record are excluded (Jaccard
    similarity of word 3-grams); null to keep them."""
    max_rejected: Share = 0.05
    """Stop the run if a larger fraction of the records is unusable."""
    seed: Seed = 0
    """Seed of the split; contiguous has no use for it."""

    @model_validator(mode="after")
    def _hash_takes_fractions(self) -> Split:
        sizes = {"validation": self.validation, "test": self.test}
        for name, size in sizes.items():
            if self.method == "hash" and size >= 1:
                raise ValueError(
                    f"{name}: with `method: hash` each record's own text decides its split, so it "
                    f"cannot be a number of records ({size}); give a fraction such as 0.1"
                )
        return self

    @model_validator(mode="after")
    def _contiguous_keeps_the_order(self) -> Split:
        if self.method == "contiguous" and self.group is not None:
            raise ValueError(
                "group: `method: contiguous` divides the records by their order, where equal "
                "values may be anywhere; use random, stratified or hash to keep groups whole"
            )
        return self


class SplitSettings(Section, Generic[RecordSettings]):
    """All that decides the splits of a task, its records and the code apart: the params of
    `split_dataset`."""

    task: str
    kind: str
    records: RecordSettings
    split: Split
