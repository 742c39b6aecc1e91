"""Checkpoints of one training run on disk: complete or absent, and never those of another run.

    folder/                 results/checkpoints/{experiment}/seed-{seed}
        lock                locked by the process that trains
        {fingerprint}/      of all that decides the result of training
            step-00000120/  files, and hashes.json, which is written last
            partial/        being written; never read

The folder is no output of a rule, since Snakemake deletes outputs before a job runs again. It is
deleted when training has succeeded.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from deltatune.core import disk
from deltatune.core.errors import UserError
from deltatune.core.hashing import file_hash

#: Seconds of training for each second of saving: saving takes 2% of the time at most.
RATIO = 50
#: Seconds between two saves.
MIN_INTERVAL, MAX_INTERVAL = 2.0, 600.0
#: Seconds to wait for the process of an earlier run, which may be at its last step.
LOCK_TIMEOUT = 300.0
# The older of two is there if the disk damages the newer.
_KEPT = 2
_HASHES = "hashes.json"


class SaveTimer:
    """When to save: rarely enough to cost little, often enough to lose little."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = clock()
        self._interval = MIN_INTERVAL

    def expired(self) -> bool:
        return self._clock() - self._last >= self._interval

    def restart(self, seconds: float, succeeded: bool = True) -> None:
        """To be called after a save that took so many seconds. Where it failed, as on a full disk,
        the next is not tried soon."""
        self._last = self._clock()
        interval = RATIO * seconds if succeeded else MAX_INTERVAL
        self._interval = min(max(interval, MIN_INTERVAL), MAX_INTERVAL)


class Checkpoints:
    """Those of one experiment and seed, under one fingerprint.

    say: called with messages for a person: that a checkpoint is damaged or cannot be written.
    """

    def __init__(self, folder: Path, fingerprint: str, say: Callable[[str], None] = print) -> None:
        self.folder = Path(folder)
        self._run_folder = self.folder / fingerprint
        self._say = say
        self._save_failed = False
        self._lock: int | None = None

    def open(self) -> None:
        """Lock the folder, and delete what other settings, code or data left in it.

        Raises UserError where another process is still training this adapter.
        """
        self._acquire_lock()
        for path in self.folder.iterdir():
            if path not in (self._run_folder, self.folder / "lock"):
                _delete(path)
        with suppress(OSError):  # a full disk, which saving reports
            self._run_folder.mkdir(exist_ok=True)
            _delete(self._run_folder / "partial")

    def latest(self) -> Path | None:
        """The newest checkpoint that is complete; damaged ones are reported and deleted."""
        for path in reversed(self.paths()):
            damage = _damage(path)
            if damage is None:
                return path
            self.discard(path, damage)
        return None

    def discard(self, path: Path, reason: str) -> None:
        """Delete a checkpoint that cannot be used and say why."""
        self._say(f"The checkpoint of step {_step(path)} is not used: {reason}.")
        _delete(path)

    def save(self, step: int, write: Callable[[Path], None]) -> bool:
        """Let `write` fill a folder, and make it the newest checkpoint by one atomic rename.

        Whenever the process or the machine stops, the checkpoints before it are untouched. False
        where it could not be written, which is reported once: training continues without.
        """
        partial = self._run_folder / "partial"
        try:
            _delete(partial)
            partial.mkdir(parents=True)
            write(partial)
            _seal(partial)
            final = self._run_folder / f"step-{step:08d}"
            _delete(final)
            partial.rename(final)
            _sync(self._run_folder)
        except OSError as error:
            _delete(partial)
            if not self._save_failed:
                self._say(
                    f"No checkpoint could be saved at step {step} ({error}); training "
                    "continues without."
                )
                self._save_failed = True
            return False
        for path in self.paths()[:-_KEPT]:
            _delete(path)
        return True

    def clear(self) -> None:
        """Delete the checkpoints of this run, which starts again."""
        for path in self.paths():
            _delete(path)

    def remove(self) -> None:
        """Delete the whole folder, and those above it that are left empty, `checkpoints` last."""
        _delete(self.folder)
        for parent in list(self.folder.parents)[:2]:
            with suppress(OSError):
                parent.rmdir()

    def paths(self) -> list[Path]:
        """The checkpoints of this run, the newest last."""
        return sorted(self._run_folder.glob("step-*")) if self._run_folder.is_dir() else []

    def _acquire_lock(self) -> None:
        """A job whose snakemake was killed may still be at its last step."""
        path, deadline = self.folder / "lock", time.monotonic() + LOCK_TIMEOUT
        waiting = False
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # it was deleted in between, by a run that succeeded
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
                if time.monotonic() >= deadline:
                    raise UserError(
                        f"Another process (number {holder}) is training this adapter. Wait until "
                        f"it has ended, or stop it with `kill {holder}`: it will save its state."
                    ) from None
                if not waiting:
                    self._say(f"Waiting for process {holder} of an earlier run, which must save.")
                    waiting = True
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
            self._lock = descriptor  # locked until the process ends
            return


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _seal(folder: Path) -> None:
    """Write the hashes of a folder's files, and flush all of it to the disk."""
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


def _damage(folder: Path) -> str | None:
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
