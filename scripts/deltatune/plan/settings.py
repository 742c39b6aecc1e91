"""What `snakemake plan` estimates, as types."""

from __future__ import annotations

from deltatune.config.model import AnyDataset, AnyModel, AnyTask, Hardware
from deltatune.core.schema import Section
from deltatune.evaluate.settings import Weights
from deltatune.models.settings import Lora, Quantization
from deltatune.train.settings import Training


class Files(Section):
    """Results that say more where they are there already, as they lie below results/. They are no
    inputs, or they would be made for the plan."""

    model: str
    tokens: str
    split: str
    train: str
    records: str


class Planned(Section):
    """An experiment."""

    experiment: str
    model_name: str
    model: AnyModel
    task_name: str
    task: AnyTask
    others: dict[str, AnyTask] = {}
    """The tasks by name that it is evaluated on beside its own."""
    dataset: AnyDataset
    text: bool
    """Whether the dataset is one plain text, which is chunked."""
    paths: list[str]
    """The files of the dataset, none where it is fetched."""
    quantization: Quantization
    lora: Lora
    training: Training
    seeds: int
    files: Files


class PlanSettings(Section):
    """All that a plan is made of, files and code apart: the params of `plan`."""

    experiments: list[Planned]
    weights: Weights
    """`evaluation.weights`."""
    hardware: Hardware
    confidence: float
    family: int
    """How many main tests the table of comparisons will adjust for."""
