"""What a kind of task is: the members of its module, and the settings that all kinds share.

Modules here import nothing heavy: the Snakefile reads them at every call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol, TypeVar, cast

from pydantic import Field

from deltatune.core.errors import UserError
from deltatune.core.schema import Section, Seed
from deltatune.data.reasons import Code, Reason
from deltatune.data.records import GROUP_ID
from deltatune.data.split_settings import Split
from deltatune.tokens.settings import Truncation

if TYPE_CHECKING:
    import pandas as pd

    from deltatune.tokens.prompts import Body, Conversation, Document

Stage = TypeVar("Stage", bound=Section)

Record = dict[str, Any]
"""One example, its fields by name."""

Outputs = Literal["answers", "text", "labels"]
"""The outputs of an evaluation, scored by metrics."""

Clusters = dict[str, Any]
"""Two columns: `cluster`, what a record shares with those that it is not independent of, and
`cluster_unit`, what that is, in the plural: chapters, documents, groups."""

FEW_CLUSTERS = 5
"""With fewer test clusters a comparison gives no p-value, see `compare.statistics`."""


class TaskSettings(Section):
    """Settings common to all kinds of task."""

    kind: str
    """instruct, chat, prose or classify: a module of deltatune.tasks."""
    dataset: str
    """Name of the dataset under datasets."""
    split: Split = Split()
    """The split into training, validation and test set."""
    max_length: int = Field(512, ge=16, le=1_048_576)
    """Length of a packed training row, and maximum length of a document, in tokens."""
    packing: bool = True
    """Fill each training row with several documents, which do not see each other. false: a document
    is a row of its own, padded to the longest of its batch; then batch_size counts documents."""
    overflow: Literal["truncate", "drop", "refuse"] = "truncate"
    """What becomes of a record longer than max_length: truncate: of an answer the end is cut, of a
    text to classify the middle, of a conversation the last turns; drop: it is not trained on, but a
    test record is still evaluated, truncated; refuse: the run stops and names the records."""
    metrics: list[str] = Field(min_length=1)
    """Names of metrics: modules in deltatune.metrics."""
    main_metric: str
    """The metric that decides the verdict."""


def lengths(task: TaskSettings) -> dict[str, int]:
    """Tokens that a task asks a model to read at once, as `tokens.context` takes them."""
    evaluation = getattr(task, "evaluation", None)
    return {
        "max_length": task.max_length,
        "window": getattr(evaluation, "context", None) or 0,
        "max_new_tokens": getattr(evaluation, "max_new_tokens", None) or 0,
    }


class Sampling(Section):
    """How the next token of an answer is drawn. Names as in transformers."""

    temperature: float = Field(1.0, gt=0, le=100)
    """Logits are divided by it: below 1 likely tokens become likelier."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Only the likeliest tokens that together have this probability; 1: all."""
    top_k: int | None = Field(None, ge=1)
    """Only so many of the likeliest tokens; null: all."""
    seed: Seed = 0
    """An answer depends on it and on the number of its record, not on what else is in its batch.
    Base and tuned systems get the same random numbers."""


def valid(check: Callable[[Any], Any], value: Any) -> Any:
    """Turn a UserError into a ValueError, so that pydantic reports it with the path of the key."""
    try:
        return check(value)
    except UserError as error:
        raise ValueError(str(error).removeprefix("prompt: ")) from None


def spread(frame: pd.DataFrame, count: int | None) -> pd.DataFrame:
    """At most `count` rows, evenly spaced, in their order."""
    if count is None or count >= len(frame):
        return frame
    return frame.iloc[[i * len(frame) // count for i in range(count)]]


BatchSize = Literal["auto"] | Annotated[int, Field(ge=1, le=65_536)]
"""Rows that are evaluated together."""


class Passage(NamedTuple):
    """A text that is scored as a whole."""

    cluster: str
    """What it shares with those that it is not independent of, such as its chapter."""
    cluster_unit: str
    """What that is, in the plural: "chapters", "documents", "groups"."""
    text: str
    start: int | None = None
    end: int | None = None
    """Its characters in the source text, where it is known."""


def group_clusters(records: pd.DataFrame) -> Clusters:
    """The clusters of records that are split by groups: those of one group are not independent
    examples. {} where there is no `split.group`."""
    if GROUP_ID not in records:
        return {}
    by_themselves = "record " + records["id"].astype(str)
    groups = records[GROUP_ID].where(records[GROUP_ID] != "", by_themselves)
    return {"cluster": groups, "cluster_unit": "groups"}


def few_clusters(number: int, unit: str, where: str) -> str | None:
    """What it means that the test split is of so few clusters; None for enough."""
    if number >= FEW_CLUSTERS:
        return None
    return (
        f"{where}: independent {unit} in the test split: {number}. Fewer than {FEW_CLUSTERS} give "
        f"no p-value; raise {where}.split.test, or give more data"
    )


def missing(record: dict[str, Any], fields: tuple[str, ...]) -> Reason | None:
    """The first field that is absent or has no visible character, as a reason to leave it out."""
    for field in fields:
        value = record.get(field)
        if value is None:
            return Reason(Code.MISSING, field)
        if not value.strip():
            return Reason(Code.EMPTY, field)
    return None


class TaskKind(Protocol):
    """A module of this package. Whatever depends on the kind of a task is asked of it: nothing
    outside the package knows the kinds by name."""

    TITLE: str
    """What the report calls tasks of this kind."""
    OUTPUTS: Outputs
    UNIT: str
    """What a metric scores one by one, in the plural: "examples", "windows"."""
    MAIN_METRIC: str
    """The metric of the verdict, unless the settings choose another."""
    FIELDS: tuple[str, ...]
    """The fields of a record of a dataset, the label and the chapter apart."""
    OPTIONAL_FIELDS: tuple[str, ...]
    """Those of them that a record may lack."""
    TEXT_FIELDS: tuple[str, ...]
    """The fields of a clean record whose text makes two records duplicates if it is equal."""
    PROMPT_FIELDS: tuple[str, ...]
    """Those of them that ask, where a record asks; the same prompt may have several answers."""
    ANSWER_FIELDS: tuple[str, ...]
    """Those of them that answer."""
    LABEL_FIELD: str | None
    """The field that a stratified split balances."""
    TRUNCATION: Truncation
    Settings: type[TaskSettings]
    """Its section of config.yaml, with defaults of its own."""
    Records: type[Section]
    """What `check` and `clean` read of it: the split depends on these keys."""
    Prompts: type[Section]
    """What `document`, `questions` and what else is asked of a model read of it: every stage that
    makes prompts depends on these keys. Plain `Section` where there are none, here and below."""
    Questions: type[Section]
    """What `questions` reads of its section `evaluation`."""

    def check(self, record: Record, settings: Section) -> Reason | None:
        """Why a record cannot be used, or None. settings: `Records`, as of `clean`."""

    def clean(self, record: Record, settings: Section) -> Record:
        """The record with normalized fields."""

    def document(self, record: Record, settings: Section) -> Document | Conversation:
        """Prompt and completion, or turns, as trained on. settings: `Prompts`."""

    def uses_chat_template(self, settings: Section) -> bool:
        """Whether the model's chat template writes the prompts. settings: `Prompts`."""

    def questions(self, test: pd.DataFrame, settings: Section, chosen: Section) -> pd.DataFrame:
        """The prompts of the evaluation: id, prompt, the reference, and the `clusters`. settings:
        `Prompts`; chosen: `Questions`."""

    def clusters(self, test: pd.DataFrame) -> Clusters:
        """The clusters of the test records; {} where each record is independent."""

    def plain_text(self, record: Record) -> str:
        """The text that a base may be pre-trained on: no prompt, no label."""


class TextKind(TaskKind, Protocol):
    """A kind whose outputs are "text": the likelihood of running text."""

    def passages(self, test: pd.DataFrame) -> list[Passage]:
        """The texts to score, in order, each without a gap."""


class LabelKind(TaskKind, Protocol):
    """A kind whose outputs are "labels": the likelihood of each label after a prompt. What is asked
    of it with `Prompts` needs them with the classes, see `labeled`."""

    def read_labels(
        self, values: Iterable[str], settings: Section, source_names: Sequence[str] = ()
    ) -> tuple[Section, str | None]:
        """The settings of the records by which the labels of these are read, and what was
        understood of them; values: those of all records; source_names: what their source calls the
        classes, in the order of the indices. Labels that the settings leave out are found. Raises
        ValueError where these say that an index is another class."""

    def label_names(self, settings: Section) -> list[str]:
        """The names of the classes in their order, each once; none where the records have yet to
        show them. settings: `Records`."""

    def with_labels(self, settings: Section, labels: Sequence[str]) -> Section:
        """The settings of the prompts with the names of the classes, as `labels`."""

    def bodies(self, questions: pd.DataFrame, settings: Section) -> list[Body | None]:
        """Where in the prompt of each question the text of its record stands."""

    def completions(self, settings: Section) -> list[str]:
        """The completion for each label, in the order of the labels. settings: `Prompts`, as of
        `empty_prompts`."""

    def empty_prompts(self, settings: Section) -> list[str]:
        """Prompts without content, for contextual calibration."""


def labeled(kind: TaskKind, settings: Stage, labels: Sequence[str]) -> Stage:
    """A stage's settings whose `prompts` have the classes of the task, where it has classes: the
    file of `split_dataset` names them, not config.yaml."""
    if kind.OUTPUTS != "labels":
        return settings
    prompts = cast(LabelKind, kind).with_labels(settings.prompts, labels)
    return settings.model_copy(update={"prompts": prompts})


def question_prompt(kind: TaskKind, settings: Section, question: str, input: str = "") -> Any:
    """A question as a task asks it: in its template or chat, or for prose the text itself.

    settings: `Prompts` of the kind. input: the optional field of an instruction.
    """
    record = dict.fromkeys((*kind.TEXT_FIELDS, kind.LABEL_FIELD or ""), "")
    record[kind.TEXT_FIELDS[0]] = question.strip()
    for field in kind.OPTIONAL_FIELDS:
        if field in kind.PROMPT_FIELDS:
            record[field] = input.strip()
    return kind.document(record, settings).prompt or question


PROTOCOLS: dict[Outputs, type[TaskKind]] = {
    "answers": TaskKind,
    "text": TextKind,
    "labels": LabelKind,
}
"""Outputs -> what a kind that yields them must hold."""
