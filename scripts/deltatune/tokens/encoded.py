"""Token ids and labels of documents, and the packed rows that they lie in.

All tokens stand one after the other in one array, and rows are made when they are asked for: of a
million documents each as an array of its own, or all rows at once, would take gigabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from deltatune.data.reasons import Reason
from deltatune.tokens.shards import COLUMNS, WEIGHTS

IGNORED = -100  # `ignore_index` of torch's cross entropy


class Pieces(Sequence):
    """int32 [tokens] of each piece."""

    def __init__(self, values: np.ndarray, starts: np.ndarray) -> None:
        self._values, self._starts = values, starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, piece: int) -> np.ndarray:
        start, stop = self._starts[:-1][piece], self._starts[1:][piece]
        return self._values[start:stop]

    def __iter__(self) -> Iterator[np.ndarray]:
        return map(self.__getitem__, range(len(self)))


@dataclass
class Encoded:
    """Token ids and labels, a piece per document, or several where a text was split."""

    pad_id: int
    """The id of padding."""
    tokens: array[int] = field(default_factory=lambda: array("i"))
    """The ids of all pieces, one after the other."""
    learned: bytearray = field(default_factory=bytearray)
    """1 for each token that is supervised, otherwise 0."""
    starts: array[int] = field(default_factory=lambda: array("q", [0]))
    """Where in the tokens each piece begins, and the end of the last."""
    sources: list[int] = field(default_factory=list)
    """For each piece the index of its document, from 0."""
    documents: int = 0
    """Number of documents."""
    truncated: list[int] = field(default_factory=list)
    """Documents that lost tokens: the end of the completion, the beginning of the prompt, or the
    last turns."""
    turns_left_out: int = 0
    """Turns that conversations lost."""
    without_reasoning: int = 0
    """Conversations of which the chat template leaves out reasoning."""
    without_tools: int = 0
    """Conversations of which the chat template leaves out the tools."""
    split: list[int] = field(default_factory=list)
    """Documents that became more than one piece."""
    dropped: list[tuple[int, Reason]] = field(default_factory=list)
    """Documents that were left out, each with the reason."""
    too_long: dict[int, int] = field(default_factory=dict)
    """Documents of more than max_length tokens -> all of their tokens."""

    @property
    def sizes(self) -> np.ndarray:
        """int64 [pieces]: the tokens of each."""
        return np.diff(np.array(self.starts))

    @property
    def supervised(self) -> np.ndarray:
        """int64 [pieces]: the supervised tokens of each."""
        learned = np.frombuffer(self.learned, np.uint8)
        if not self.sources:
            return np.array([], np.int64)
        return np.add.reduceat(learned, np.array(self.starts[:-1]), dtype=np.int64)

    @property
    def ids(self) -> Pieces:
        """int32 [tokens] of each piece."""
        return Pieces(np.array(self.tokens), np.array(self.starts))

    @property
    def labels(self) -> Pieces:
        """int32 [tokens] of each piece: the token's own id where it is supervised, else -100."""
        learned = np.array(self.learned, dtype=bool)
        labels = np.where(learned, np.array(self.tokens), np.int32(IGNORED))
        return Pieces(labels, np.array(self.starts))

    def add(
        self, document: int, prompt: Sequence[int], answer: Sequence[int], ignored: int
    ) -> None:
        """A piece. ignored: tokens at the beginning that are not supervised; the first never is."""
        unsupervised = max(1, ignored)
        self.tokens.extend(prompt)
        self.tokens.extend(answer)
        self.learned.extend(bytes(unsupervised))
        self.learned.extend(b"\x01" * (len(prompt) + len(answer) - unsupervised))
        self._end(document)

    def add_masked(self, document: int, ids: Iterable[int], learned: Iterable[int]) -> None:
        """A piece, with 1 or True for each token that is supervised, except the first."""
        start = len(self.tokens)
        self.tokens.extend(ids)
        self.learned.extend(learned)
        self.learned[start] = 0
        self._end(document)

    def _end(self, document: int) -> None:
        self.starts.append(len(self.tokens))
        self.sources.append(document)

    def piece(self, number: int) -> tuple[array[int], bytearray]:
        """Its ids and whether each is supervised, as in `tokens` and `learned`."""
        place = slice(self.starts[number], self.starts[number + 1])
        return self.tokens[place], self.learned[place]

    def without_pieces(self) -> Encoded:
        """What is known of the documents."""
        empty = Encoded(self.pad_id)
        return replace(
            self,
            **{name: getattr(empty, name) for name in ("tokens", "learned", "starts", "sources")},
        )


@dataclass(frozen=True)
class Packed(Mapping):
    """Rows of one length. Their columns are made when they are asked for: input_ids, labels and
    position_ids, int32 [rows, length] each, and perhaps weights, float32.

    position_ids count from 0 in every piece, which keeps attention within it (see
    `shards.Collator`), and again in the padding, which is a document of its own: no token attends
    to it. Its labels are -100, its weights 0.
    """

    encoded: Encoded
    rows: int
    length: int
    pieces: np.ndarray
    """int64 [pieces]: their numbers, as they stand in the rows, one row after the other."""
    row_of: np.ndarray
    """int64 [pieces]: the row of each, in the same order."""
    weights: np.ndarray | None = None
    """float32 [pieces]: the weight of the tokens of each piece, by its number; None without."""
    is_padded: bool = True
    """Whether rows are saved with their padding."""

    @property
    def names(self) -> tuple[str, ...]:
        return COLUMNS if self.weights is None else (*COLUMNS, WEIGHTS)

    @property
    def starts(self) -> np.ndarray:
        """int64 [pieces]: where in its row each begins, in the order of `pieces`."""
        sizes = self.encoded.sizes[self.pieces]
        begins = np.cumsum(sizes) - sizes
        return begins - begins[np.searchsorted(self.row_of, self.row_of)]

    @property
    def filled(self) -> np.ndarray:
        """int64 [rows]: the tokens of each row."""
        sizes = self.encoded.sizes[self.pieces]
        return np.bincount(self.row_of, weights=sizes, minlength=self.rows).astype(np.int64)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, name: str) -> np.ndarray:
        """A column of all rows."""
        return self.part(name, 0, self.rows)

    def part(self, name: str, start: int, stop: int) -> np.ndarray:
        """The column of some of the rows."""
        values, filled = self.tokens_of(name, start, stop), self.filled[start:stop]
        padding = self.encoded.pad_id if name == "input_ids" else IGNORED * (name == "labels")
        column = np.full((stop - start, self.length), padding, dtype=values.dtype)
        if name == "position_ids":
            column[:] = np.arange(self.length)
        ends = np.cumsum(filled)
        for row, (size, end) in enumerate(zip(filled.tolist(), ends.tolist(), strict=True)):
            column[row, :size] = values[end - size : end]
            if name == "position_ids":
                column[row, size:] -= size
        return column

    def tokens_of(self, name: str, start: int, stop: int) -> np.ndarray:
        """The same without padding, one row after the other."""
        encoded = self.encoded
        pieces = self.pieces[slice(*np.searchsorted(self.row_of, [start, stop]))]
        begins = np.frombuffer(encoded.starts, np.int64)
        sizes, begins = begins[pieces + 1] - begins[pieces], begins[pieces]
        if name == WEIGHTS:
            return np.repeat(self.weights[pieces], sizes)
        before = np.cumsum(sizes) - sizes
        within = np.arange(sizes.sum())
        if name == "position_ids":
            return (within - np.repeat(before, sizes)).astype(np.int32)
        places = within + np.repeat(begins - before, sizes)
        values = np.frombuffer(encoded.tokens, np.int32)[places]
        if name == "labels":
            values[np.frombuffer(encoded.learned, np.uint8)[places] == 0] = IGNORED
        return values
