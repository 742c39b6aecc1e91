"""Which rows each step of training sees, whatever the number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset
from torch.utils.data import Sampler

from deltatune.models.batch import Batch, Passes, rows_seen, steps_per_epoch, total_steps
from deltatune.train.losses import supervised_places

PLACES = "places"
"""Of a batch: see `losses.supervised_places`."""


@dataclass(frozen=True)
class Steps:
    """The optimizer steps of a run.

    rows: of training. passes: of each of the processes. evaluations: how many there are after
    step 0. max_steps: how many steps there are, in place of epochs.
    """

    rows: int
    passes: Passes
    processes: int
    epochs: float | None
    evaluations: int
    max_steps: int | None = None

    @property
    def batch(self) -> Batch:
        """Of each of the processes."""
        return self.passes.batch

    @property
    def rows_per_step(self) -> int:
        return self.batch.rows * self.processes

    @property
    def total(self) -> int:
        return total_steps(self.rows, self.rows_per_step, self.epochs, self.max_steps)

    @property
    def per_epoch(self) -> int:
        return steps_per_epoch(self.rows, self.rows_per_step)

    def evaluated(self) -> set[int]:
        """The steps after which the losses are measured, the last one among them."""
        return {round(self.total * (i + 1) / self.evaluations) for i in range(self.evaluations)}

    def rows_seen(self, step: int) -> int:
        """Rows of the steps up to one, over all epochs."""
        return rows_seen(self.rows, self.rows_per_step, step)


class SeededSampler(Sampler[int]):
    """The rows in another order in each epoch, which depends on the seed and the epoch alone.

    epoch: set it before each epoch. multiple: padding rows (see `PaddedDataset`) come last until
    the epoch is a multiple of so many, so that every process has the same number of batches.
    """

    def __init__(self, rows: int, seed: int, multiple: int = 1) -> None:
        self._rows, self._seed = rows, seed
        self._length = -(-rows // multiple) * multiple
        self.epoch = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self._seed + self.epoch)
        yield from torch.randperm(self._rows, generator=generator).tolist()
        yield from range(self._rows, self._length)

    def __len__(self) -> int:
        return self._length


class PaddedDataset:
    """Rows, followed by padding rows up to a length.

    Without labels these add nothing to the loss, nor to the number of tokens that it is divided by;
    repeating rows, as accelerate does, would count some of them twice.
    """

    def __init__(self, rows: Dataset, length: int) -> None:
        self._rows, self._length = rows, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index < len(self._rows):
            return self._rows[index]
        row = self._rows[0]
        return {**row, "labels": [-100] * len(row["labels"])}


class WithPlaces:
    """A collator whose batches say where a token is supervised. On a GPU, finding that out would
    wait for all that was launched before. least: see `supervised_places`."""

    def __init__(self, collate: Callable[[Any], dict[str, torch.Tensor]], least: int) -> None:
        self._collate, self._least = collate, least

    def __call__(self, rows: Any) -> dict[str, torch.Tensor]:
        batch = self._collate(rows)
        return {**batch, PLACES: supervised_places(batch["labels"], self._least)}
