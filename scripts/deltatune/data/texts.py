"""Many texts in little memory: one array of bytes, of which a text is taken while it is looked at.

A million short texts as Python objects take more memory than their characters, and each list of
some of them keeps all alive.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np


class Texts(Sequence[str]):
    """Texts by position; half of a surrogate pair may be in them."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._bytes = bytearray()
        self._limits = array("q", [0])
        for text in texts:
            self._bytes += text.encode("utf-8", "surrogatepass")
            self._limits.append(len(self._bytes))

    def __len__(self) -> int:
        return len(self._limits) - 1

    def __getitem__(self, position: int) -> str:
        if not 0 <= position < len(self):
            raise IndexError(position)  # what ends an iteration
        start, stop = self._limits[position], self._limits[position + 1]
        return self._bytes[start:stop].decode("utf-8", "surrogatepass")


class Keys(Sequence[str]):
    """What records share with those that they are not parted from: their group, or else the text
    of each."""

    def __init__(self, groups: Sequence[str], texts: Sequence[str], positions: np.ndarray) -> None:
        """groups: of each record, "" for one by itself. positions: of the records that count."""
        self._groups, self._texts, self._positions = groups, texts, positions

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, number: int) -> str:
        position = int(self._positions[number])
        return self._groups[position] or self._texts[position]
