"""Why a record was left out or counted: a code with its details, and the prose made of them.

Counts in manifests and the `code` column of rejects.csv and excluded.csv hold the codes; prose is
for people, and nothing reads it back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from deltatune.core.text import excerpt, suggestion

COLUMNS = ["row", "field", "code", "reason", "excerpt"]
"""Of a table of records that were left out, see `Reason.line`."""


class Code(StrEnum):
    """The values stand in files: they stay as they are."""

    # In a file.
    NOT_UTF8 = "not_utf8"
    NUL_BYTE = "nul_byte"
    TOO_LONG = "too_long"
    WRONG_TYPE = "wrong_type"
    WRONG_COLUMNS = "wrong_columns"
    REPEATED_HEADER = "repeated_header"
    BAD_QUOTING = "bad_quoting"
    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    REPEATED_NAME = "repeated_name"
    SEVERAL_TURNS = "several_turns"
    UNDESIRABLE = "undesirable"
    # For a task.
    MISSING = "missing"
    EMPTY = "empty"
    UNKNOWN_LABEL = "unknown_label"
    NOT_A_CONVERSATION = "not_a_conversation"
    NOTHING_LEARNED = "nothing_learned"
    UNKNOWN_SPLIT = "unknown_split"
    # For the rows of a model.
    LONGER = "longer_than_max_length"
    NO_ROOM = "no_room"
    NO_TEXT = "no_text"
    NO_TURN = "no_turn"
    TEMPLATE_REFUSES = "template_refuses"
    MASKED = "masked"
    # Beside the other records.
    DUPLICATE = "duplicate"
    CONFLICTING_LABEL = "conflicting_label"
    NEAR_DUPLICATE = "near_duplicate"

    @property
    def label(self) -> str:
        """Prose without the details, such as `unknown label`."""
        return _LABELS.get(self) or self.value.replace("_", " ")

    @property
    def advice(self) -> str:
        """What to do about a source with many such records, a sentence; "" where it is the label
        or the field that has to be corrected."""
        return _ADVICE.get(self, "")


_LABELS = {
    Code.NOT_UTF8: "not UTF-8",
    Code.NUL_BYTE: "NUL byte",
    Code.TOO_LONG: "field too long",
    Code.WRONG_COLUMNS: "wrong number of columns",
    Code.NOT_JSON: "not JSON",
    Code.UNDESIRABLE: "marked as undesirable",
    Code.NOTHING_LEARNED: "nothing to learn",
    Code.LONGER: "longer than max_length",
    Code.NO_ROOM: "the prompt leaves no room for an answer",
    Code.NO_TEXT: "the document is empty",
    Code.NO_TURN: "no turn that is learned fits",
    Code.TEMPLATE_REFUSES: "the chat template refuses it",
    Code.MASKED: "all of its tokens are masked",
}
"""Where it is not the value with spaces."""
_DETAILS = {
    Code.WRONG_TYPE: " ({value})",
    Code.WRONG_COLUMNS: " ({value})",
    Code.REPEATED_NAME: " '{value}'",
    Code.SEVERAL_TURNS: " ({value})",
    Code.UNKNOWN_LABEL: " '{value}'{suggestion}",
    Code.NOT_A_CONVERSATION: " ({value})",
    Code.NOTHING_LEARNED: " ({value})",
    Code.UNKNOWN_SPLIT: " '{value}'{suggestion}",
    Code.TEMPLATE_REFUSES: ": {value}",
    Code.DUPLICATE: " of row {row}",
    Code.CONFLICTING_LABEL: " with row {row}",
    Code.NEAR_DUPLICATE: " of {split} row {row}",
}
"""What stands behind the label, from the fields of a Reason."""
_ADVICE = {
    Code.NOT_UTF8: "Save the source as UTF-8.",
    Code.WRONG_TYPE: "A template joins the values of a list, such as `columns: {text: "
    '"{tags}"}`, and a path names a value inside an object, such as `columns: {text: meta.title}`.',
    Code.SEVERAL_TURNS: "A task of `kind: chat` takes conversations of several turns.",
    Code.NOT_A_CONVERSATION: "Messages are a list of objects with `role` and `content`, or with "
    "`from` and `value`.",
    Code.UNKNOWN_SPLIT: "The column of split.column names train, validation and test.",
    Code.WRONG_COLUMNS: "A text with separators in it has to stand in quotation marks.",
    Code.NOT_JSON: "Correct the rows: one object a line, names and texts in double quotes.",
    Code.NOT_AN_OBJECT: "A record is an object with the names of its fields.",
    Code.REPEATED_NAME: "An object has each name once.",
    Code.BAD_QUOTING: "A quotation mark that belongs to the text is doubled.",
}


CONTAINED_SHARE = 0.9
"""Share of the word 3-grams of a test record that one training record has: `Leak.CONTAINED`."""


class Leak(StrEnum):
    """What a test record shares with the training data though it is no duplicate; the values stand
    in manifests, and are ids of `report.words.limit_list`."""

    REPEATED_PROMPT = "repeated_prompt"
    CONTAINED = "contained"
    REPEATED_ANSWER = "repeated_answer"


@dataclass(frozen=True)
class Reason:
    code: Code
    field: str = ""
    """The field that is at fault; "" for the whole record."""
    value: str = ""
    """The type, the label or the split that it has, or what is wrong with it."""
    nearest: str | None = None
    """The known one that was probably meant."""
    split: str = ""
    row: int | None = None
    """The record that it repeats, and the split that it is in."""

    def __str__(self) -> str:
        """Prose, such as `duplicate of row 3`."""
        details = _DETAILS.get(self.code, "").format(
            value=self.value, suggestion=suggestion(self.nearest), split=self.split, row=self.row
        )
        return self.code.label + details

    def line(self, row: int, value: Any) -> tuple[int, str, str, str, str]:
        """A line of a table of COLUMNS. row: number of the record; value: what to show of it."""
        return row, self.field, self.code.value, str(self), excerpt(value)
