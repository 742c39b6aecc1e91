"""Texts to token ids by their words, each of which is tokenized once.

Of a million records most words are the same few thousand, and `tokenizers` takes a microsecond for
each of them every time. Byte-level tokenizers cut a text by a regular expression before anything
else, and tokenize what is between two cuts by itself. In the expressions that are known here no
match reaches over a space behind a printable character, or a line break behind a letter or digit,
and none looks back: the ids of such a text are those of its parts, one after the other.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from typing import Any

from deltatune.tokens.upstream import tokenizer_steps

# That of GPT-2 is a part of `ByteLevel`; Qwen's is that of versions 2, 2.5 and 3.
_LLAMA_3, _QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|" + number + r"|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    for number in (r"\p{N}{1,3}", r"\p{N}")
)
_NO_CUT = re.compile("[^!-~] |\0")
"""A space that has something else than a printable character before it; or what words are marked by
here."""
_LINES = re.compile(r"(?<=[A-Za-z0-9])(?=\n)")
_LINES_AND_DIGITS = re.compile(r"(?<=[A-Za-z0-9])(?=\n)|(?<=[0-9])(?=[0-9])")
"""Where words are cut once more; between digits if each is a token, and numbers are no words of
their own."""
_BATCH = 1000
"""Texts whose words are looked up together."""
_MOST = 2**15
"""Words that are remembered; then it begins anew, so that numbers and names do not fill memory."""


def are_separable(tokenizer: Any) -> bool:
    """Whether the ids of a text are those of its words, by the steps of a fast tokenizer.

    False says only that it is not known.
    """
    normalizer, steps, dropout = tokenizer_steps(tokenizer)
    kinds = [step["type"] for step in steps]
    cut = next((place for place, step in enumerate(steps) if _cuts(step)), None)
    if cut is None or dropout or normalizer not in (None, {"type": "NFC"}):
        return False
    added = (t for t in tokenizer.added_tokens_decoder.values() if not t.special)
    is_plain = not any(
        t.lstrip or t.rstrip or t.single_word or re.search(r"\s", t.content) for t in added
    )
    return is_plain and {*kinds[:cut]} <= {"Digits"} and {*kinds[cut:]} <= {"Digits", *_CUTTING}


def digits_are_apart(tokenizer: Any) -> bool:
    """Of a tokenizer that is separable: whether it makes a token of each digit."""
    _, steps, _ = tokenizer_steps(tokenizer)
    return any(
        step.get("individual_digits") or step.get("pattern", {}).get("Regex") == _QWEN
        for step in steps
    )


def _cuts(step: dict[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return step["use_regex"] and not step["add_prefix_space"]
    return (
        step["type"] == "Split"
        and step["pattern"].get("Regex") in (_LLAMA_3, _QWEN)
        and (step["behavior"], step["invert"]) == ("Isolated", False)
    )


_CUTTING = ("ByteLevel", "Split")


class Words:
    """Words of a tokenizer that `are_separable`, as far as they were seen.

    The ids of each are kept as the bytes of an array, which are joined in a fraction of the time
    that lists take.
    """

    def __init__(
        self, encode: Callable[[Sequence[str]], list[list[int]]], parts_digits: bool
    ) -> None:
        """encode: texts -> the ids of each. parts_digits: see `digits_are_apart`."""
        self._encode = encode
        self._cuts = _LINES_AND_DIGITS if parts_digits else _LINES
        self._known: dict[str, bytes] = {}

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """What `encode` gives."""
        rows = []
        for start in range(0, len(texts), _BATCH):
            rows += self._rows(texts[start : start + _BATCH])
        return rows

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        if len(self._known) > _MOST:
            self._known.clear()
        is_whole = [not text.isascii() or _NO_CUT.search(text) is not None for text in texts]
        words = [
            () if whole else text.replace(" ", "\0 ").split("\0")
            for text, whole in zip(texts, is_whole, strict=True)
        ]
        self._learn(set().union(*words).difference(self._known))
        look_up = self._known.__getitem__
        rows = [array("i", b"".join(map(look_up, parts))).tolist() for parts in words]
        places = [place for place, whole in enumerate(is_whole) if whole]
        for place, ids in zip(places, self._encode([texts[i] for i in places]), strict=True):
            rows[place] = ids
        return rows

    def _learn(self, words: set[str]) -> None:
        divided = {word: parts for word in words if len(parts := self._cuts.split(word)) > 1}
        parts = words.difference(divided).union(*divided.values())
        new = [*parts.difference(self._known)]
        for word, ids in zip(new, self._encode(new), strict=True):
            self._known[word] = array("i", ids).tobytes()
        for word, parts in divided.items():
            self._known[word] = b"".join(map(self._known.__getitem__, parts))
