"""All that is shown of a task, read from what `tokenize_split` has made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from deltatune.core import manifest
from deltatune.preview.rows import ROWS, Row, read
from deltatune.preview.settings import Previewed, PreviewSettings
from deltatune.report.numbers import plural
from deltatune.tokens import left_out
from deltatune.tokens.shards import read_shards
from deltatune.tokens.supervision import NAMED
from deltatune.tokens.tokenizer import load_tokenizer


@dataclass(frozen=True)
class TaskView:
    settings: Previewed
    figures: dict[str, Any]
    """Counts of the whole training split, of its manifest."""
    rows: list[Row]

    @property
    def sentence(self) -> str:
        """Counts in words."""
        f = self.figures
        most = "" if self.settings.packing else "at most "
        share = f["supervised_tokens"] / f["tokens"] if f["tokens"] else 0
        return (
            f"{plural(f['documents'], 'records')} in {plural(f['rows'], 'rows')} of "
            f"{most}{f['row_length']:,} tokens. The loss is taken on {f['supervised_tokens']:,} of "
            f"{f['tokens']:,} tokens ({share:.0%}); {f['padding_share']:.1%} of the rows is "
            "padding."
        )

    @property
    def cuts(self) -> str:
        """What became of records that are too long, and what the chat template does not write, in
        words; "" where there are none."""
        pairs = (("truncated", "loses tokens", "lose tokens"), ("split", "is split", "are split"))
        parts = [
            f"{plural(self.figures[key], 'records')} {one if self.figures[key] == 1 else several}"
            for key, one, several in pairs
            if self.figures[key]
        ]
        cut = f"{' and '.join(parts)} (max_length: {self.settings.max_length:,})." if parts else ""
        return f"{cut} {left_out.sentence(self.figures)}".strip()

    @property
    def unsupervised(self) -> str:
        """The records that nothing is trained on, by their ids; "" where there are none."""
        records = self.figures["unsupervised_records"]
        if not records:
            return ""
        named = "; ".join(f"{one['record']} ({one['reason']})" for one in records[:NAMED])
        more = f"; and {len(records) - NAMED:,} more" if len(records) > NAMED else ""
        return f"Nothing is trained on in {plural(len(records), 'records')}: {named}{more}."


def views(settings: PreviewSettings, results: Path, keep: int) -> Iterator[TaskView]:
    """Each task in turn. results: the folder. keep: most tokens of a run to show."""
    for each in settings.tasks:
        folder = results / each.rows
        packed = read_shards(folder)
        shown = packed.select(range(min(ROWS, len(packed)))).to_list()
        pieces = pd.read_parquet(folder.with_name(f"{folder.name}.parquet"))
        tokenizer = load_tokenizer(results / each.tokenizer)
        figures = manifest.read(folder.with_name(f"{folder.name}.json"))
        yield TaskView(each, figures, read(shown, pieces, tokenizer, keep))
