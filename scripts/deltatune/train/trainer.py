"""A Trainer that saves its state regularly, stops when it is asked to, and resumes from there.

It saves all that the next step depends on: the trained parameters, the optimizer, the schedule, the
gradient scaler, the position in the data, and the random state of each process. The base is never
saved. The files are ours instead of the Trainer's, so that they can be written atomically by one
process, and so that only the optimizer's state, which has no fixed form, is a pickle; it is read
with `weights_only`, which makes tensors and plain values and runs nothing.
"""

from __future__ import annotations

import io
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from transformers import TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from deltatune.train import distributed
from deltatune.train.checkpoints import Checkpoints, SaveTimer
from deltatune.train.data import SeededSampler
from deltatune.train.losses import History, Interrupted
from deltatune.train.upstream import HookedTrainer

_TRAINED, _OPTIMIZER, _FACTS = "trained.safetensors", "optimizer.pt", "facts.json"


@dataclass
class SavedState:
    """A checkpoint in memory.

    facts: see `ResumableTrainer`. random_states: of each process, see `random_state`.
    """

    folder: Path
    step: int
    facts: dict[str, Any]
    random_states: list[dict[str, Any]]
    trained: dict[str, torch.Tensor]
    states: dict[str, Any]


def load_checkpoint(checkpoints: Checkpoints | None) -> SavedState | None:
    """The newest checkpoint that can be read, or None; all processes get the same.

    checkpoints: given on the first process alone.
    """
    saved = None
    while checkpoints and (folder := checkpoints.latest()):
        try:
            saved = _read(folder)
            break
        except Exception as error:
            checkpoints.discard(folder, f"it cannot be read ({type(error).__name__}: {error})")
    folder = distributed.broadcast(saved.folder if saved else None)
    return saved or (_read(folder) if folder else None)


def _read(folder: Path) -> SavedState:
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    state = json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return SavedState(
        folder,
        state["global_step"],
        facts["run"],
        facts["random_states"],
        safetensors.torch.load_file(folder / _TRAINED),
        torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True),
    )


class ResumableTrainer(HookedTrainer):
    """A Trainer with checkpoints of our own.

    saves: whether this run is saved at all. checkpoints: on the first process alone. saved: where
    to resume. facts: called by all processes when a checkpoint is written, for what it should
    contain beside the Trainer's own state.
    """

    def __init__(
        self,
        *,
        sampler: SeededSampler,
        saves: bool,
        checkpoints: Checkpoints | None,
        saved: SavedState | None,
        facts: Callable[[], dict],
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._sampler, self._checkpoints = sampler, checkpoints
        self._saved, self._facts = saved, facts
        self.saves = saves
        self.save_timer = SaveTimer()
        #: The step of the newest checkpoint, 0 where there is none.
        self.last_saved = saved.step if saved else 0

    def run(self) -> None:
        """Train from the beginning or from the checkpoint, to the end or until asked to stop."""
        self.save_timer = SaveTimer()
        self.train(resume_from_checkpoint=str(self._saved.folder) if self._saved else None)

    def train_sampler(self) -> SeededSampler:
        return self._sampler

    def write_checkpoint(self) -> None:
        began = time.monotonic()
        trained, optimizer = self._trained_parameters(), self.optimizer.state_dict()
        random_states = distributed.all_gather(random_state())
        # A counter of the operations so far; the Trainer's own checkpoints have it too.
        self.store_flos()
        facts = {"run": self._facts(), "random_states": random_states}
        succeeded = True
        if self._checkpoints:
            states = {"optimizer": optimizer, "scheduler": self.lr_scheduler.state_dict()}
            if getattr(self.accelerator, "scaler", None) is not None:
                states["scaler"] = self.accelerator.scaler.state_dict()

            def write(folder: Path) -> None:
                # Made in memory first, so that a full disk is an OSError and nothing else.
                pickled = io.BytesIO()
                torch.save(states, pickled)
                (folder / _OPTIMIZER).write_bytes(pickled.getbuffer())
                (folder / _TRAINED).write_bytes(safetensors.torch.save(trained))
                (folder / _FACTS).write_text(json.dumps(facts), encoding="utf-8")
                self.state.save_to_json(str(folder / TRAINER_STATE_NAME))

            succeeded = self._checkpoints.save(self.state.global_step, write)
        # The others wait for the first one: stopping now must not end it while it writes.
        if distributed.broadcast(succeeded):
            self.last_saved = self.state.global_step
        self.save_timer.restart(time.monotonic() - began, succeeded)

    def _trained_parameters(self) -> dict[str, torch.Tensor]:
        """Name -> value of every parameter that is trained, in main memory."""
        return {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in self.model.named_parameters()
            if value.requires_grad
        }

    def restore_parameters(self) -> None:
        trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if trained.keys() != self._saved.trained.keys():
            raise RuntimeError("the checkpoint has other parameters than those that are trained")
        for name, value in self._saved.trained.items():
            trained[name].data.copy_(value)

    def restore_optimizer(self) -> None:
        self.optimizer.load_state_dict(self._saved.states["optimizer"])
        self.lr_scheduler.load_state_dict(self._saved.states["scheduler"])

    def restore_scaler(self) -> None:
        if "scaler" in self._saved.states:
            self.accelerator.scaler.load_state_dict(self._saved.states["scaler"])

    def restore_random_state(self) -> None:
        set_random_state(self._saved.random_states[distributed.rank()])


class Steps(TrainerCallback):
    """What happens between the steps: evaluating, saving, stopping.

    evaluation_steps: those at which the losses are measured. epochs: the epochs that a number of
    steps is. stop_requested: whether to stop. pending_evaluation: whether the losses of the step
    that training resumes from are still to be measured.
    """

    def __init__(
        self,
        history: History,
        sampler: SeededSampler,
        steps: int,
        steps_per_epoch: int,
        epochs: Callable[[int], float],
        evaluation_steps: set[int],
        stop_requested: Callable[[], bool],
        progress: Callable[[str], None],
        pending_evaluation: bool = False,
    ) -> None:
        self._history, self._sampler = history, sampler
        self._steps, self._steps_per_epoch, self._epochs = steps, steps_per_epoch, epochs
        self._evaluation_steps, self._stop_requested = evaluation_steps, stop_requested
        self._progress = progress
        self.pending_evaluation = pending_evaluation
        self.trainer: ResumableTrainer | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 0 or self.pending_evaluation:
            self._evaluate(state)
            self.pending_evaluation = False

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self._sampler.epoch = state.global_step // self._steps_per_epoch

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step in self._evaluation_steps:
            try:
                self._evaluate(state)
            except Interrupted:
                self.pending_evaluation = True
        if state.global_step >= self._steps or not self.trainer.saves:
            return
        # All processes save when the first one does, and stop when any of them is asked to.
        save = self.trainer.save_timer.expired() and distributed.rank() == 0
        stop, save = distributed.all_reduce([self._stop_requested(), save])
        if stop or save:
            control.should_save = True
        if stop:
            control.should_training_stop = True

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        loss = float(loss)
        self._history.require_number(loss, "training loss", state.global_step)
        self._progress(f"step {state.global_step}/{self._steps}, loss {loss:.3f}")

    def _evaluate(self, state) -> None:
        # Several processes must do it together, and the last evaluation ends the run anyway.
        interruptible = distributed.world_size() == 1 and state.global_step < self._steps
        stop = {"stop": self._stop_requested} if interruptible else {}
        step = state.global_step
        self._history.measure(self.trainer.model, step, self._epochs(step), **stop)


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
