"""Of which dataset a record of a mixture is, and its row there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from deltatune.data.records import ORIGIN_FIELDS, ORIGINS
from deltatune.data.splits import Split


@dataclass(frozen=True)
class Origins:
    by_row: pd.DataFrame
    """ORIGINS, by the row of the mixture; empty where the dataset is none."""

    def add(self, frame: pd.DataFrame, number: str = "row") -> pd.DataFrame:
        """A frame with ORIGINS; as it is where there is no mixture. number: the column with the row
        of the mixture."""
        if self.by_row.empty:
            return frame
        origin = self.by_row.loc[frame[number]]
        return frame.assign(**{name: origin[name].to_numpy() for name in ORIGINS})

    def add_to(self, split: Split) -> Split:
        """All frames of a split with ORIGINS."""
        parts = {name: self.add(part, "id") for name, part in split.parts().items()}
        return replace(split, **parts, excluded=self.add(split.excluded))


def split_off(records: pd.DataFrame, unread: pd.DataFrame) -> tuple[pd.DataFrame, Origins]:
    """The records without ORIGIN_FIELDS, and what these say. unread: with ORIGINS, where the
    records have them."""
    if ORIGIN_FIELDS[0] not in records:
        return records, Origins(pd.DataFrame(columns=ORIGINS))
    of_records = records[["row", *ORIGIN_FIELDS]].set_axis(["row", *ORIGINS], axis="columns")
    frames = [frame for frame in (of_records, unread) if len(frame)]
    both = pd.concat([frame[["row", *ORIGINS]] for frame in frames])
    by_row = both.astype({"dataset_row": "int64"}).set_index("row")
    return records.drop(columns=ORIGIN_FIELDS), Origins(by_row)
