"""What a training job is given, and what comes out of it. Needs no tensors to be imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deltatune.models.batch import Passes
from deltatune.train.settings import TrainSettings

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Job:
    """One adapter to be trained."""

    settings: TrainSettings
    model: Path
    """The folder that the base is loaded from."""
    rows: dict[str, Path]
    """Split -> folder of shards, of train and validation."""
    output: Path
    """The adapter's folder."""
    checkpoints: Path
    """The folder of `checkpoints.Checkpoints`."""
    fingerprint: str
    """Of all that decides the result, see `hashing.fingerprint`."""
    quantization_key: str = "quantization"
    """Of the experiment in config.yaml, for messages."""
    passes: Passes | None = None
    """Of each process, to begin with others than are chosen."""
    jobs_per_gpu: int = 1
    """How many jobs may use its GPU at a time, this one among them."""


@dataclass(frozen=True)
class Trained:
    """What training an adapter gave, its files apart."""

    losses: pd.DataFrame
    """Columns step, epoch, split, loss in nats per supervised token. Step 0 is the base."""
    figures: dict[str, Any]
    """For the manifest."""
    used: dict[str, float]
    """What earlier parts of the run and other processes used, see `manifest.used`."""
    device: str
    dtype: str
    """Of activations."""
    precision: str
    """Why this one."""
