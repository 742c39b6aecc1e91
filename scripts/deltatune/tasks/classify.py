"""Text classification by the log-likelihood of each label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from deltatune.core.schema import Section
from deltatune.core.text import did_you_mean, nearest
from deltatune.data.labels import TRUTHS, canonical, find, named, without_case
from deltatune.data.reasons import Code, Reason
from deltatune.data.split_settings import Method, Split
from deltatune.tasks.base import (
    BatchSize,
    Clusters,
    Record,
    TaskSettings,
    group_clusters,
    missing,
    spread,
    valid,
)
from deltatune.tokens.prompts import Body, Document, label_template, render_labels
from deltatune.tokens.settings import ClassWeights

if TYPE_CHECKING:
    import pandas as pd

TITLE = "classification"
OUTPUTS = "labels"
UNIT = "examples"
MAIN_METRIC = "accuracy"
FIELDS = ("text",)
OPTIONAL_FIELDS = ()
TEXT_FIELDS = FIELDS
PROMPT_FIELDS = ()
ANSWER_FIELDS = ()
LABEL_FIELD = "label"
# The end of the prompt asks for the label, and only the label is supervised.
TRUNCATION = "shorten_prompt"


def _as_written(labels: Any) -> Any:
    """Names that YAML reads as numbers as their text, and values in the data also of true and
    false. A name that it reads as true may have been written as yes, and is refused."""
    if isinstance(labels, list):
        return [_name(name) for name in labels]
    if isinstance(labels, dict):
        return {_written(value): _name(name) for value, name in labels.items()}
    return labels


def _name(value: Any) -> Any:
    return value if isinstance(value, bool) else _written(value)


def _written(value: Any) -> Any:
    # As the readers write such values.
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else value


def _as_names_of(weights: Any) -> Any:
    """Names that YAML reads as numbers or truth values, as the classes have them."""
    is_mapping = isinstance(weights, dict)
    return {_written(name): weight for name, weight in weights.items()} if is_mapping else weights


class Records(Section):
    labels: Annotated[list[str] | dict[str | int, str] | None, BeforeValidator(_as_written)] = None
    """The classes. A list of names, where records have the names, or, if none has one, their
    indices (from 0, or false and true); or a mapping from the value in the data to the name. null:
    those that the records have, by the names of their source, if it has some; numbers in their
    order, anything else sorted. They stand in results/tasks/TASK/labels.json."""

    @model_validator(mode="after")
    def _distinct(self) -> Records:
        if self.labels is None:
            return self
        names = label_names(self)
        if len(names) < 2:
            raise ValueError(f"labels: a classification needs two or more classes, not {names}")
        if isinstance(self.labels, list) and len(names) < len(self.labels):
            raise ValueError(f"labels: {self.labels} has a class twice")
        if any(not name.strip() for name in names):
            raise ValueError("labels: a class has an empty name")
        for name in names:
            # Labels in the data are stripped, and a prompt cannot show such a difference.
            if name != " ".join(name.split()):
                raise ValueError(
                    f"labels: {name!r} begins or ends with white space, or has more than one space "
                    f"between words; write {' '.join(name.split())!r}, if need be by a mapping "
                    "from the value in the data"
                )
        return self


class Prompts(Section):
    prompt: str = "{text}\n\nCategory:"
    """Template of the prompt before the label, with {text} and {labels}."""

    @field_validator("prompt")
    @classmethod
    def _renders(cls, prompt: str) -> str:
        return valid(label_template, prompt)


class LabeledPrompts(Prompts):
    labels: list[str]
    """Names of the classes: behind the split, records have these whatever stands in the data."""


def with_labels(settings: Prompts, labels: Sequence[str]) -> LabeledPrompts:
    return LabeledPrompts.part_of(settings, labels=list(labels))


class Questions(Section):
    max_examples: int | None = Field(None, ge=5)
    """Evaluate only this many records, evenly spaced over the test split (or the validation split,
    where that is evaluated); null: all."""


class Evaluation(Questions):
    batch_size: BatchSize = "auto"
    """Texts scored in one batch, sorted by length. auto: on a GPU as many tokens as keep it busy,
    which follows from the model's shape and the lengths and not from the card; elsewhere 32
    texts."""


class StratifiedSplit(Split):
    method: Method = "stratified"
    """random; stratified by label; contiguous: the last records in order are the test set; or hash:
    a hash of each record's text decides, so that added records move no other, and sizes are
    fractions that hold approximately."""


class Settings(Records, Prompts, TaskSettings):
    kind: Literal["classify"]
    train_on_prompt: bool = False
    """Take the loss on the prompt as well; false: on the label alone."""
    class_weights: Annotated[ClassWeights, BeforeValidator(_as_names_of)] = None
    """Weights of the classes in the training loss, for classes of very different sizes. balanced:
    each class weighs as much as another, however few records it has (records / (classes × records
    of the class)); or a mapping from the name of a class to its relative weight, 1 for the others.
    The weights are scaled to a mean of 1 over the training records. null: each record counts
    alike."""
    split: StratifiedSplit = StratifiedSplit()
    """The split into training, validation and test set."""
    evaluation: Evaluation = Evaluation()
    """Settings of the scoring of labels."""
    metrics: list[str] = ["accuracy", "macro_f1", "macro_f1_present", "accuracy_calibrated"]
    main_metric: str = MAIN_METRIC

    @model_validator(mode="after")
    def _weights_of_classes(self) -> Settings:
        names = label_names(self)
        if isinstance(self.class_weights, dict) and names:
            for name in self.class_weights:
                if name not in names:
                    raise ValueError(
                        f"class_weights: no class is called '{name}'{did_you_mean(name, names)}; "
                        f"labels has {', '.join(names)}"
                    )
        return self


def label_names(settings: Records) -> list[str]:
    """The names of the classes in their order, each once; none where records have yet to show
    them."""
    labels = settings.labels or []
    return list(dict.fromkeys(labels if isinstance(labels, list) else labels.values()))


def read_labels(
    values: Iterable[str], settings: Records, source_names: Sequence[str] = ()
) -> tuple[Records, str | None]:
    """The settings with a mapping of each value to its name, and what was understood beyond them.

    source_names: what the source calls the classes, in the order of the indices that its records
    have. A list of the same names in another order is read by them; anything else that gives an
    index the name of another class is refused with a ValueError. values: those of the records. Of a
    list of names, records have names or their indices: names where any record has one, so that a 0
    among the names "1" to "5" is unknown, not "1". The same value reads alike in every format: 1.0
    as 1, True as true, and true and false, where these are no names or values, as 1 and 0. Where
    the settings have no labels they are found, see `labels.find`.
    """
    known = {value.strip() for value in values}
    if settings.labels is None:
        names = find(known, source_names)
        return settings.model_copy(update={"labels": names | _mapping(known, names)}), None
    labels, note = settings.labels, None
    by_source = _by_source(labels, source_names)
    own = {} if isinstance(labels, dict) else _as_names(labels)
    if by_source is not None and not known & set(labels):
        names = by_source
        if list(by_source.values()) != labels:
            listed = ", ".join(f"{index} is '{name}'" for index, name in by_source.items())
            note = f"labels are read by the names of their source, in another order: {listed}"
    elif isinstance(labels, dict):
        names = {str(value): name for value, name in labels.items()}
        forms = {canonical(value): name for value, name in reversed(names.items())}
        names |= {value: name for value, name in forms.items() if value not in names}
    elif any(named(value, own) for value in known):
        names = own
        numbers = sorted(one for one in known if one.isdecimal() and not named(one, names))
        if numbers:
            note = f"labels are read as names, so {', '.join(numbers[:3])} is no index"
    else:
        names = {str(number): name for number, name in enumerate(labels)}
        if read := [value for value in known if named(value, names)]:
            are_truths = all(canonical(value) in TRUTHS for value in read)
            zero, one = TRUTHS if are_truths else ("0", "1")
            note = f"labels are read as indices: {zero} is '{labels[0]}', {one} is '{labels[1]}'"
    return settings.model_copy(update={"labels": names | _mapping(known, names)}), note


def _mapping(values: Iterable[str], names: Mapping[str, str]) -> dict[str, str]:
    """Each value of the records that has a class -> that."""
    return {value: name for value in sorted(values) if (name := named(value, names))}


def _as_names(labels: list[str]) -> dict[str, str]:
    """Value in the data -> name: the names themselves, and as the readers write such values."""
    return {name: name for name in labels} | {
        plain: name for name in reversed(labels) if (plain := canonical(name)) not in labels
    }


def _by_source(
    labels: list[str] | dict[Any, str], source_names: Sequence[str]
) -> dict[str, str] | None:
    """Index -> label, of a list of the names that the source has too, in any case and order; None
    for other labels, or where the source has no names.

    Raises ValueError where the labels give an index the name that another one has in the source.
    """
    places = {without_case(name): index for index, name in enumerate(source_names)}
    if isinstance(labels, list) and {without_case(name) for name in labels} == set(places):
        return {str(i): name for i, name in sorted((places[without_case(n)], n) for n in labels)}
    pairs = labels.items() if isinstance(labels, dict) else enumerate(labels)
    for value, name in pairs:
        index, place = str(value), places.get(without_case(name))
        is_index = index.isdecimal() and int(index) < len(source_names)
        if place is None or not is_index or int(index) == place:
            continue
        own = source_names[int(index)]
        raise ValueError(
            f"{index} is read as '{name}', and the source of the records calls {index} '{own}' and "
            f"{place} '{source_names[place]}'; its names are, in the order of the indices, "
            f"{list(source_names)}"
        )
    return None


def _label(raw: str, labels: list[str] | dict[Any, str] | None) -> str | None:
    value = raw.strip()
    if labels is None:
        return canonical(" ".join(value.split()))
    if isinstance(labels, dict):
        # All that the records have, see `read_labels`.
        return labels.get(value) or named(value, {str(one): labels[one] for one in labels})
    indices = {str(number): name for number, name in enumerate(labels)}
    return named(value, indices | {name: name for name in labels})


def check(record: Record, settings: Records) -> Reason | None:
    reason = missing(record, ("text", "label"))
    if reason is None and _label(record["label"], settings.labels) is None:
        label = record["label"].strip()[:60]
        known = nearest(label, [*map(str, settings.labels or ()), *label_names(settings)])
        return Reason(Code.UNKNOWN_LABEL, "label", value=label, nearest=known)
    return reason


def clean(record: Record, settings: Records) -> Record:
    return {"text": record["text"].strip(), "label": _label(record["label"], settings.labels)}


def document(record: Record, settings: LabeledPrompts) -> Document:
    prompt, body = render_labels(settings.prompt, record["text"], settings.labels)
    return Document(prompt=prompt, completion=f" {record['label']}", body=body)


def uses_chat_template(settings: Prompts) -> bool:
    return False


def clusters(test: pd.DataFrame) -> Clusters:
    return group_clusters(test)


def questions(test: pd.DataFrame, settings: LabeledPrompts, chosen: Questions) -> pd.DataFrame:
    """id, prompt, text, label, and the `clusters`."""
    records = spread(test, chosen.max_examples)
    prompts = [document(record, settings).prompt for record in records.to_dict("records")]
    return records[["id", "text", "label"]].assign(prompt=prompts, **clusters(records))


def bodies(questions: pd.DataFrame, settings: LabeledPrompts) -> list[Body | None]:
    """Where the text stands in each prompt of `questions`."""
    texts = questions["text"]
    return [render_labels(settings.prompt, text, settings.labels)[1] for text in texts]


def completions(settings: LabeledPrompts) -> list[str]:
    """The completion for each label, in the order of the labels."""
    return [f" {name}" for name in settings.labels]


def empty_prompts(settings: LabeledPrompts) -> list[str]:
    """Prompts without content, for contextual calibration (Zhao et al. 2021)."""
    texts = ("N/A", "[MASK]", "")
    return [render_labels(settings.prompt, text, settings.labels)[0] for text in texts]


def plain_text(record: Record) -> str:
    return record["text"]
