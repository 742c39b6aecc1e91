"""The state of a run, all that the next step depends on: in memory and in a checkpoint's files.

That is the trained parameters, the optimizer, the schedule, the gradient scaler, the position in
the data, and the random state of each process. The base is never saved. The files are ours instead
of the Trainer's, so that they can be written atomically by one process, and so that only the
optimizer's state, which has no fixed form, is a pickle; it is read with `weights_only`, which makes
tensors and plain values and runs nothing.
"""

from __future__ import annotations

import io
import json
import random
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from deltatune.models.batch import Passes
from deltatune.train import distributed
from deltatune.train.checkpoints import Checkpoints
from deltatune.train.step import Computed

_TRAINED, _OPTIMIZER, _FACTS = "trained.safetensors", "optimizer.pt", "facts.json"


@dataclass
class RunState:
    """What a run has to remember beside what the Trainer does."""

    passes: Passes
    computed: Computed
    losses: list[dict[str, Any]] = field(default_factory=list)
    """Rows of the loss history."""
    pending_evaluation: bool = False
    """Whether the losses of this step are still to be measured."""
    seconds: float = 0.0
    """Of training, evaluation apart."""
    used: dict[str, float] = field(default_factory=dict)
    """What earlier processes used, see `manifest.used`."""


@dataclass(frozen=True)
class SavedState:
    """A checkpoint in memory.

    random_states: of each process, see `random_state`. states: of the optimizer, the schedule and,
    in fp16, the gradient scaler. folder: where it was read from.
    """

    run: RunState
    trainer: TrainerState
    random_states: list[dict[str, Any]]
    trained: dict[str, torch.Tensor]
    states: dict[str, Any]
    folder: Path | None = None

    @property
    def step(self) -> int:
        return self.trainer.global_step

    @classmethod
    def read(cls, folder: Path) -> SavedState:
        facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        run = facts["run"]
        passes, computed = Passes.from_plain(run["passes"]), Computed.read(run["computed"])
        return cls(
            run=RunState(**run | {"passes": passes, "computed": computed}),
            trainer=TrainerState.load_from_json(str(folder / TRAINER_STATE_NAME)),
            random_states=facts["random_states"],
            trained=safetensors.torch.load_file(folder / _TRAINED),
            states=torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True),
            folder=folder,
        )

    def write(self, folder: Path) -> None:
        """Raises OSError where that fails, as on a full disk."""
        # Made in memory first, so that a full disk is an OSError and nothing else.
        pickled = io.BytesIO()
        torch.save(self.states, pickled)
        (folder / _OPTIMIZER).write_bytes(pickled.getbuffer())
        (folder / _TRAINED).write_bytes(safetensors.torch.save(self.trained))
        facts = {"run": asdict(self.run), "random_states": self.random_states}
        (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
        self.trainer.save_to_json(str(folder / TRAINER_STATE_NAME))


def load_checkpoint(checkpoints: Checkpoints | None) -> SavedState | None:
    """The newest checkpoint that can be read, or None; the first process chooses it for all."""
    saved = None
    while checkpoints and distributed.rank() == 0 and (folder := checkpoints.latest()):
        try:
            saved = SavedState.read(folder)
            break
        except Exception as error:
            checkpoints.discard(folder, f"it cannot be read ({type(error).__name__}: {error})")
    folder = distributed.broadcast(saved.folder if saved else None)
    return saved or (SavedState.read(folder) if folder else None)


def random_state() -> dict[str, Any]:
    """The state of every generator of this process, as JSON can hold it."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    state = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` returned."""

    def tensor(text: str) -> torch.Tensor:
        return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensor(state["torch"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensor(state["cuda"]))
