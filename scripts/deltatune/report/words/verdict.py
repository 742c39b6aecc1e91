"""What the run shows, in words: the first screen, then pair by pair.

All of it is a function of the facts, so the words can be tested and cannot drift from the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from deltatune.report.data import ReportData
from deltatune.report.words import first_screen, sentences
from deltatune.report.words.sentences import PairSentence


@dataclass(frozen=True)
class Summary:
    parts: list[str]
    """The sentences of the first screen (plain text, nothing escaped)."""
    pairs: list[PairSentence]

    @property
    def text(self) -> str:
        """results/verdict.txt: the first screen alone, one sentence a line."""
        return "".join(f"{one}\n" for one in self.parts)


def summarize(data: ReportData) -> Summary:
    return Summary(first_screen.parts(data), sentences.pair_by_pair(data))
