"""Labels of a classification as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deltatune.core.errors import UserError
from deltatune.tokens.ids import continuation_ids, eos_id


def label_ids(completions: Sequence[str], tokenizer: Any) -> list[list[int]]:
    """Ids of each completion behind a prompt, with the token that ends it, as in training.

    With their ends no label begins another, so they are outcomes that exclude each other.
    """
    return [[*ids, eos_id(tokenizer)] for ids in continuation_ids(completions, tokenizer)]


def nested(ids: Sequence[Sequence[int]]) -> list[bool]:
    """For ids of `label_ids`, whether the label begins with all tokens of another, as the tokens of
    `bug report` begin with those of `bug`."""
    labels = {tuple(each[:-1]) for each in ids}
    return [any(tuple(each[:stop]) in labels for stop in range(len(each) - 1)) for each in ids]


def check_distinct(
    names: Sequence[str], completions: Sequence[str], tokenizer: Any, where: str
) -> None:
    """Raise UserError where two labels have the same ids: no model could tell them apart.

    A tokenizer may fold case, or have one <unk> for all characters that it does not know.
    names: of the labels; completions: their texts, in the same order. where: the key of the labels.
    """
    names_of: dict[tuple[int, ...], str] = {}
    for name, ids in zip(names, label_ids(completions, tokenizer), strict=True):
        other = names_of.setdefault(tuple(ids), name)
        if other != name:
            pieces = " ".join(tokenizer.convert_ids_to_tokens(ids[:-1]))
            raise UserError(
                f"{where}: {other!r} and {name!r} are the same tokens ({pieces}) to this model's "
                "tokenizer, so the model cannot tell them apart. Give one of them another name by "
                "a mapping from the values in the data to names, or choose a model whose tokenizer "
                "knows these characters."
            )
