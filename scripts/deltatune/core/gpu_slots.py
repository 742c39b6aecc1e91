"""A GPU of its own for each job: Snakemake counts GPUs and does not number them.

A device is taken by a lock on a file of its own, which all runs of a user on one machine share.
The system frees it with the end of the process, however that ends, so nothing is left to clean up.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, MutableMapping
from contextlib import closing
from pathlib import Path
from typing import IO

from deltatune.core import gpu_devices
from deltatune.core.errors import UserError
from deltatune.core.gpu_devices import Device

#: Seconds between two attempts, and until a person is told for what a job waits.
INTERVAL, PATIENCE = 1.0, 60.0

_locks: list[IO[str]] = []
"""Locks of this process, closed by its end alone: until then its memory on the GPU is taken."""

_places: list[int] = []
"""For how many jobs each GPU that this process took is listed; 0 for one that all share."""


def take(
    count: int,
    job: str,
    say: Callable[[str], None] = print,
    environment: MutableMapping[str, str] = os.environ,
    usable: Callable[..., tuple[str, list[Device]]] = gpu_devices.usable,
) -> list[str]:
    """Take so many GPUs, all at once, for this process and those that it starts: their numbers.

    To be called before torch is imported, since CUDA_VISIBLE_DEVICES is set. Where all are taken,
    wait until some are free; `say` tells after a minute by whom. job: who takes them, in its words.

    Nothing is taken where there are fewer than that: `models.device` then computes on the CPU or
    says what is missing. Nor in a job of SLURM that has as many as it needs. One alone is shared:
    `--resources gpu=4` asks for four jobs on it, which is faster with small models.
    """
    variable, devices = usable(environment) if count else ("", [])
    _name_each_once(environment)
    distinct = len({device.uuid for device in devices})
    allocation = environment.get("SLURM_JOB_ID", "")
    if not 0 < count <= distinct or (allocation and distinct == count):
        return []
    slots = _slots(_folder(allocation), devices)
    if len(devices) == 1:
        _share(slots[0][1], job)
        _places.append(0)
        return [devices[0].number]
    started = time.monotonic()
    waited = 0.0
    tell = [(PATIENCE, say), (0.0, print)]
    while isinstance(taken := _take_all(slots, count, job), str):
        if tell and waited >= tell[-1][0]:
            tell.pop()[1](f"  {job} waits for {_free_gpus(count)} of {len(slots)}: {taken}")
        time.sleep(INTERVAL)
        waited = time.monotonic() - started
    if waited:
        print(f"  {job} waited {waited:.0f} s for its GPU")
    _places.append(max(Counter(device.uuid for device in devices).values()))
    if len(devices) > count:
        environment[variable] = ",".join(device.visible for device in taken)
    return [device.number for device in taken]


def jobs_per_gpu(at_a_time: int) -> int:
    """How many jobs may use a GPU of this process at a time, itself among them.

    at_a_time: GPUs that Snakemake may give away at once (`--resources gpu`).
    """
    return max([1, *(places or at_a_time for places in _places)])


def _name_each_once(environment: MutableMapping[str, str]) -> None:
    """CUDA sees no GPU at all where one is listed twice, as `_slots` allows."""
    for variable in (gpu_devices.NVIDIA, gpu_devices.AMD):
        if variable in environment:
            names = (name.strip() for name in environment[variable].split(","))
            environment[variable] = ",".join(dict.fromkeys(names))


def _free_gpus(count: int) -> str:
    return "a free GPU" if count == 1 else f"{count} free GPUs"


def _folder(allocation: str) -> Path:
    """One for all runs of a user on this machine; in a job of SLURM, whose devices are nobody
    else's, one for all of that job."""
    name = "-".join(["deltatune-gpus", str(os.getuid()), *([allocation] if allocation else [])])
    folder = Path(tempfile.gettempdir(), name)
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.lstat().st_uid != os.getuid():
        raise UserError(
            f"{folder}, in which jobs say which GPUs they use, belongs to somebody else. Have it "
            "removed, or set TMPDIR to a folder of your own."
        )
    return folder


def _slots(folder: Path, devices: list[Device]) -> list[tuple[Device, Path]]:
    """A file for each; a device that is listed twice has two, for as many jobs at a time."""
    seen: Counter[str] = Counter()
    slots = []
    for device in devices:
        seen[device.uuid] += 1
        again = f".{seen[device.uuid]}" if seen[device.uuid] > 1 else ""
        slots.append((device, folder / f"{device.uuid.replace('/', '-')}{again}"))
    return slots


def _take_all(slots: list[tuple[Device, Path]], count: int, job: str) -> list[Device] | str:
    """All or none: of none, who uses which, for people. One process at a time tries, so that two
    which want two of two do not each hold one, and give it back, for ever."""
    taken: dict[str, tuple[Device, IO[str]]] = {}
    others = []
    with closing(_open(slots[0][1].with_name("taking"))) as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for device, path in slots:
            if len(taken) == count or device.uuid in taken:
                continue
            if lock := _lock(path):
                taken[device.uuid] = device, lock
            else:
                holder = path.read_text(encoding="utf-8").strip()
                others.append(f"{device.number} is used by {holder}")
        locks = [lock for _, lock in taken.values()]
        if len(taken) < count:
            for lock in locks:
                lock.close()
            return "; ".join(others)
        for lock in locks:
            lock.truncate(0)
            lock.write(f"{job} (process {os.getpid()})\n")
            lock.flush()
    _locks.extend(locks)
    return [device for device, _ in taken.values()]


def _open(path: Path) -> IO[str]:
    return path.open("a+", encoding="utf-8")


def _share(path: Path, job: str) -> None:
    """Keep runs that have a choice away from the device, without waiting for one that took it."""
    if lock := _lock(path, fcntl.LOCK_SH):
        lock.truncate(0)
        lock.write(f"{job} (process {os.getpid()})\n")
        lock.flush()
        _locks.append(lock)


def _lock(path: Path, kind: int = fcntl.LOCK_EX) -> IO[str] | None:
    """The locked file, or None where another process has locked it."""
    file = _open(path)
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
