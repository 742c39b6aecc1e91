"""Checkpoints of one training run on disk: whole or not there, and never those of another run.

    folder/                 results/checkpoints/{experiment}/seed-{seed}
        lock                held by the process that trains
        {fingerprint}/      of all that decides what training gives
            step-00000120/  files, and hashes.json, which is written last
            partial/        being written; never read

The folder is no output of a rule, since Snakemake deletes outputs before a job runs again. It is
deleted when training has ended well.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from deltatune.core import disk
from deltatune.core.errors import UserError
from deltatune.core.hashing import file_hash

#: Seconds of training for each second of saving: saving takes 2% of the time at most.
RATIO = 50
#: Seconds between two saves, at least and at most.
LEAST, MOST = 2.0, 600.0
#: Seconds to wait for the process of an earlier run, which may be at its last step.
PATIENCE = 300.0
# Two whole ones are kept: the older is there if the disk damages the newer.
_KEPT = 2
_HASHES = "hashes.json"


def fingerprint(parts: Any) -> str:
    """Of what decides a run's result, given as JSON can hold it."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Pace:
    """When to save: rarely enough to cost little, often enough to lose little."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._wait = LEAST

    def due(self) -> bool:
        return self._clock() - self._last >= self._wait

    def saved(self, seconds: float, well: bool = True) -> None:
        """To be called after a save that took so many seconds. Where it failed, which a full disk
        makes it do, the next is not tried soon."""
        self._last = self._clock()
        self._wait = min(max(RATIO * seconds, LEAST), MOST) if well else MOST


class Checkpoints:
    """Those of one experiment and seed, under one fingerprint.

    say: called with what a person should know: that a checkpoint is damaged or cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str, say: Callable[[str], None] = print) -> None:
        self.folder = Path(folder)
        self._own = self.folder / fingerprint
        self._say = say
        self._told = False
        self._lock: int | None = None

    def open(self) -> None:
        """Take the folder, and delete what other settings, code or data left in it.

        Raises UserError where another process goes on training this adapter.
        """
        self._take()
        for path in self.folder.iterdir():
            if path not in (self._own, self.folder / "lock"):
                _delete(path)
        with suppress(OSError):  # a full disk; saving will say so
            self._own.mkdir(exist_ok=True)
            _delete(self._own / "partial")

    def latest(self) -> Path | None:
        """The newest checkpoint that is whole; damaged ones are told of and deleted."""
        for path in reversed(self._found()):
            fault = _fault(path)
            if fault is None:
                return path
            self.discard(path, fault)
        return None

    def discard(self, path: Path, fault: str) -> None:
        """Delete a checkpoint that cannot be used and say why."""
        self._say(f"The checkpoint of step {_step(path)} is not used: {fault}.")
        _delete(path)

    def save(self, step: int, write: Callable[[Path], None]) -> bool:
        """Let `write` fill a folder, and make it the newest checkpoint at a stroke.

        Whenever the process or the machine stops, the checkpoints before it are untouched. False
        where it could not be written, which is told of once: training is worth more than its aid.
        """
        partial = self._own / "partial"
        try:
            _delete(partial)
            partial.mkdir(parents=True)
            write(partial)
            _seal(partial)
            final = self._own / f"step-{step:08d}"
            _delete(final)
            partial.rename(final)
            _sync(self._own)
        except OSError as error:
            _delete(partial)
            if not self._told:
                self._say(
                    f"No checkpoint could be saved at step {step} ({error}); training goes on "
                    "without."
                )
                self._told = True
            return False
        for path in self._found()[:-_KEPT]:
            _delete(path)
        return True

    def clear(self) -> None:
        """Delete the checkpoints of this run, which begins again."""
        for path in self._found():
            _delete(path)

    def remove(self) -> None:
        """Delete the whole folder, and those above it that are left empty, `checkpoints` last."""
        _delete(self.folder)
        for above in list(self.folder.parents)[:2]:
            with suppress(OSError):
                above.rmdir()

    def _found(self) -> list[Path]:
        return sorted(self._own.glob("step-*")) if self._own.is_dir() else []

    def _take(self) -> None:
        """Lock the folder. A job whose snakemake was killed may still be at its last step."""
        path, until, told = self.folder / "lock", time.monotonic() + PATIENCE, False
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # it was deleted in between, by a run that ended well
                continue
            except OSError as error:
                if not disk.full(error):
                    raise UserError(
                        f"The folder for checkpoints, {self.folder}, cannot be written: "
                        f"{error.strerror}."
                    ) from None
                return
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
                os.close(descriptor)
                if time.monotonic() >= until:
                    raise UserError(
                        f"Another process (number {holder}) is training this adapter. Wait until "
                        f"it has ended, or stop it with `kill {holder}`: it will save its state."
                    ) from None
                if not told:
                    self._say(f"Waiting for process {holder} of an earlier run, which must save.")
                    told = True
                time.sleep(0.2)
                continue
            except OSError:  # some network file systems have no locks
                pass
            try:
                same = os.path.samestat(os.fstat(descriptor), os.stat(path))
            except FileNotFoundError:
                same = False
            if not same:  # deleted by the process that was waited for
                os.close(descriptor)
                continue
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self._lock = descriptor  # held until the process ends
            return


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _seal(folder: Path) -> None:
    """Write the hashes of a folder's files, and see that all of it is on the disk."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != _HASHES)
    hashes = {path.relative_to(folder).as_posix(): file_hash(path) for path in files}
    (folder / _HASHES).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
    for path in (*files, folder / _HASHES, folder):
        _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fault(folder: Path) -> str | None:
    """What is wrong with a checkpoint, or None."""
    try:
        hashes = json.loads((folder / _HASHES).read_text(encoding="utf-8"))
        if not isinstance(hashes, dict) or not hashes:
            return f"its {_HASHES} is damaged"
        for name, expected in hashes.items():
            if not (folder / name).is_file():
                return f"its file {name} is missing"
            if file_hash(folder / name) != expected:
                return f"its file {name} is damaged"
    except (OSError, ValueError):
        return f"its {_HASHES} is damaged"
    return None


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
