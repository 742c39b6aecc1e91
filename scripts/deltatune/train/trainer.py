"""A Trainer that saves its state now and then, stops when it is asked to, and goes on from there.

What it saves is all that the next step depends on: what is trained, the optimizer, the schedule,
the gradient scaler, where in the data it is, and the random numbers of each process. The base is
never saved. The files are ours instead of the Trainer's, so that they can be written whole by one
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
from accelerate.utils import model_has_dtensor
from torch.nn.parallel import DistributedDataParallel
from transformers import Trainer, TrainerCallback
from transformers.trainer import TRAINER_STATE_NAME

from deltatune.train import distributed
from deltatune.train.checkpoints import Checkpoints, Pace
from deltatune.train.data import SeededSampler
from deltatune.train.losses import History, Interrupted

_TRAINED, _OPTIMIZER, _FACTS = "trained.safetensors", "optimizer.pt", "facts.json"


@dataclass
class Saved:
    """A checkpoint in memory.

    facts: what `ResumableTrainer` was told to keep. randoms: of each process, see `random_state`.
    """

    folder: Path
    step: int
    facts: dict[str, Any]
    randoms: list[dict[str, Any]]
    trained: dict[str, torch.Tensor]
    states: dict[str, Any]


def load(checkpoints: Checkpoints | None) -> Saved | None:
    """The newest checkpoint that can be read, or None; all processes get the same.

    checkpoints: given on the first process alone.
    """
    found = None
    while checkpoints and (folder := checkpoints.latest()):
        try:
            found = _read(folder)
            break
        except Exception as error:
            checkpoints.discard(folder, f"it cannot be read ({type(error).__name__}: {error})")
    folder = distributed.first(found.folder if found else None)
    return found or (_read(folder) if folder else None)


def _read(folder: Path) -> Saved:
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    state = json.loads((folder / TRAINER_STATE_NAME).read_text(encoding="utf-8"))
    return Saved(
        folder,
        state["global_step"],
        facts["run"],
        facts["randoms"],
        safetensors.torch.load_file(folder / _TRAINED),
        torch.load(folder / _OPTIMIZER, map_location="cpu", weights_only=True),
    )


class ResumableTrainer(Trainer):
    """saves: whether this run is saved at all. checkpoints: on the first process alone. saved:
    where to go on. facts: called by all processes when a checkpoint is written, for
    what it should keep beside the Trainer's own state."""

    def __init__(
        self,
        *,
        order: SeededSampler,
        saves: bool,
        checkpoints: Checkpoints | None,
        saved: Saved | None,
        facts: Callable[[], dict],
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._order, self._checkpoints, self._saved, self._facts = order, checkpoints, saved, facts
        self.saves = saves
        self.pace = Pace()
        #: The step of the newest checkpoint, 0 where there is none.
        self.last_saved = saved.step if saved else 0

    def run(self) -> None:
        """Train from the beginning or from the checkpoint, to the end or until asked to stop."""
        self.pace = Pace()
        self.train(resume_from_checkpoint=str(self._saved.folder) if self._saved else None)

    def _get_train_sampler(self, train_dataset=None) -> SeededSampler:
        return self._order

    def _wrap_model(self, model, *arguments, **named):
        if not (distributed.count() > 1 and model is self.model and model_has_dtensor(model)):
            return super()._wrap_model(model, *arguments, **named)
        # A base in shares. On GPUs accelerate 1.15 wraps no model in DDP that has parameters in
        # shares, though these are frozen and DDP is told to leave them alone. It still sets the
        # precision.
        model = self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        here = [self.args.device.index] if self.args.device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=here)

    # ------------------------------------------------------------ saving

    def _save_checkpoint(self, model, trial) -> None:
        began = time.monotonic()
        trained, optimizer = self._trained(), self._optimizer_state()
        randoms = distributed.all_gather(random_state())
        # A counter of the operations so far; the Trainer's own way of saving does the same.
        self.store_flos()
        facts = {"run": self._facts(), "randoms": randoms}
        well = True
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

            well = self._checkpoints.save(self.state.global_step, write)
        # The others wait for the first one: who stops now must not end it at its work.
        if distributed.first(well):
            self.last_saved = self.state.global_step
        self.pace.saved(time.monotonic() - began, well)

    def _trained(self) -> dict[str, torch.Tensor]:
        """Name -> value of every parameter that is trained, in the main memory."""
        return {
            name: value.detach().to("cpu", copy=True).contiguous()
            for name, value in self.model.named_parameters()
            if value.requires_grad
        }

    def _optimizer_state(self) -> dict[str, Any]:
        return self.optimizer.state_dict()

    # ------------------------------------------------------------ going on

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        own = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        if own.keys() != self._saved.trained.keys():
            raise RuntimeError("the checkpoint holds other parameters than those that are trained")
        for name, value in self._saved.trained.items():
            own[name].data.copy_(value)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.optimizer.load_state_dict(self._saved.states["optimizer"])
            self.lr_scheduler.load_state_dict(self._saved.states["scheduler"])

    def _load_scaler(self, checkpoint: str | None) -> None:
        if checkpoint is not None and "scaler" in self._saved.states:
            self.accelerator.scaler.load_state_dict(self._saved.states["scaler"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            set_random_state(self._saved.randoms[distributed.rank()])


class Steps(TrainerCallback):
    """What happens between the steps: measuring, saving, stopping.

    due: the steps at which the losses are measured. per_epoch: steps of an epoch. epochs: how many
    of them a number of steps is. asked: whether to stop. owed: whether the losses of the step that
    is gone on from are still to be measured.
    """

    def __init__(
        self,
        history: History,
        order: SeededSampler,
        steps: int,
        per_epoch: int,
        epochs: Callable[[int], float],
        due: set[int],
        asked: Callable[[], bool],
        progress: Callable[[str], None],
        owed: bool = False,
    ) -> None:
        self._history, self._order = history, order
        self._steps, self._per_epoch, self._epochs, self._due = steps, per_epoch, epochs, due
        self._asked, self._progress = asked, progress
        self.owed = owed
        self.trainer: ResumableTrainer | None = None

    def on_train_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == 0 or self.owed:
            self._measure(state)
            self.owed = False

    def on_epoch_begin(self, args, state, control, **kwargs) -> None:
        self._order.epoch = state.global_step // self._per_epoch

    def on_step_end(self, args, state, control, **kwargs) -> None:
        if state.global_step in self._due:
            try:
                self._measure(state)
            except Interrupted:
                self.owed = True
        if state.global_step >= self._steps or not self.trainer.saves:
            return
        # All processes do what the first one says, and stop when any of them is asked to.
        due = self.trainer.pace.due() and distributed.rank() == 0
        stop, due = distributed.all_reduce([self._asked(), due])
        if stop or due:
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

    def _measure(self, state) -> None:
        # It takes all processes, and the last one ends the run anyway.
        alone = distributed.count() == 1 and state.global_step < self._steps
        stop = {"stop": self._asked} if alone else {}
        step = state.global_step
        self._history.measure(self.trainer.model, step, self._epochs(step), **stop)


def random_state() -> dict[str, Any]:
    """The state of every generator of this process, as JSON can hold it."""
    version, numbers, gauss = random.getstate()
    name, keys, *rest = np.random.get_state()
    found = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, keys.tolist(), *rest],
        "torch": torch.get_rng_state().numpy().tobytes().hex(),
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state().numpy().tobytes().hex()
    return found


def set_random_state(state: dict[str, Any]) -> None:
    """Go on where `random_state` was."""

    def tensor(text: str) -> torch.Tensor:
        return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))
    torch.set_rng_state(tensor(state["torch"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensor(state["cuda"]))
