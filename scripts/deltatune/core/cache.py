"""Finished work is found again: what a job made, kept by the fingerprint of all that decides it.

    results/cache/{fingerprint}/
        hashes.json     file -> sha256, of all others
        NAME            an output of the rule, by its name: a file, or a folder of files
    results/cache/partial-{number}/     being written or deleted; never read

The files of a folder (weights, rows of tokens) are hard links where the file system has them, so
that they take no space twice; all others are copies, as each result needs a date of its own.
An edit of a result may thus reach the cache: the hashes are verified on each use.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from deltatune.core import hashing, manifest, provenance
from deltatune.core.paths import RESULTS

FOLDER = Path(RESULTS, "cache")
#: Distributions whose versions decide what a cached stage computes.
PACKAGES = (
    *("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "accelerate", "safetensors"),
    *("gptqmodel", "optimum", "datasets", "numpy", "pandas", "pyarrow", "sentencepiece", "Jinja2"),
    "vllm",
)
_HASHES = "hashes.json"
_PARTIAL = "partial-"
#: Seconds after which what a killed job was writing is deleted.
_ABANDONED = 24 * 3600
#: Instruction sets by which libraries choose their code, among the flags of a processor.
_INSTRUCTIONS = re.compile(r"avx|amx|fma|f16c|sse4|sve|asimd|bf16|i8mm")


def of_job(
    snakemake: Any, say: Callable[[str], None], results: Path = Path(RESULTS)
) -> Kept | None:
    """What is kept of a job; None where the cache is switched off. results: the folder of all."""
    if not snakemake.resources.cache_mb:
        return None
    outputs = dict(snakemake.output.items())
    folder = results / FOLDER.name
    max_bytes = snakemake.resources.cache_mb * 10**6
    return Kept(fingerprint(snakemake), outputs, max_bytes, say, folder)


def fingerprint(snakemake: Any) -> str:
    """Of a job: its rule, its params (settings and the digest of its code), the content of its
    input files, the versions of packages, and the machine. A folder among the inputs is known by
    the file of its hashes, which is an input beside it."""
    return hashing.fingerprint(
        {
            "rule": snakemake.rule,
            "params": dict(snakemake.params.items()),
            "inputs": {
                str(path): hashing.file_hash(path)
                for path in snakemake.input
                if Path(path).is_file()
            },
            "versions": {"python": platform.python_version(), **manifest.versions(PACKAGES)},
            "machine": [platform.system(), provenance.processor(), _instructions(), _gpus()],
        }
    )


class Kept:
    """The results of one job in the cache.

    outputs: name -> path of the job's results. max_bytes: disk space that the whole cache may take,
    without what it shares with results. say: called with messages for a person.
    """

    def __init__(
        self,
        key: str,
        outputs: Mapping[str, str],
        max_bytes: int,
        say: Callable[[str], None],
        folder: Path = FOLDER,
    ) -> None:
        self._entry = folder / key
        self._outputs = outputs
        self._max_bytes = max_bytes
        self._say = say
        self._folder = folder

    def restore(self) -> bool:
        """Put the results where they belong: all of them, or none.

        False where they are not kept, or damaged, which is said.
        """
        entry, outputs = self._entry, self._outputs
        if not entry.is_dir():
            return False
        try:
            hashes = json.loads((entry / _HASHES).read_text(encoding="utf-8"))
            for name, path in outputs.items():
                _copy(entry / name, Path(path))
            if _hashes(outputs) == hashes:
                with suppress(OSError):  # a cache that may only be read serves as well
                    os.utime(entry)
                return True
            problem = "is damaged"
        except (ValueError, FileNotFoundError):
            problem = "is damaged"
        except OSError as error:
            problem = f"cannot be used ({error})"
        for path in map(Path, outputs.values()):
            _delete(path)
        # Else another job has just deleted it, to make room.
        if entry.is_dir():
            self._say(f"{entry} {problem}: its content is computed again.")
            if problem == "is damaged":
                self._drop(entry)
        return False

    def store(self) -> None:
        """Keep the results, and delete what is beyond `max_bytes`.

        They become an entry by one atomic rename. Where that fails, they are as good without.
        """
        partial = self._folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        try:
            hashes = _hashes(self._outputs)
            partial.mkdir(parents=True)
            for name, path in self._outputs.items():
                _copy(Path(path), partial / name)
            (partial / _HASHES).write_text(json.dumps(hashes, indent=1), encoding="utf-8")
            with suppress(FileExistsError):
                _rename(partial, self._entry)
            with suppress(FileNotFoundError):  # another job deletes the same
                self._make_room()
        except OSError as error:
            self._say(f"The results are not kept in {self._folder} ({error}); nothing else fails.")
        finally:
            _delete(partial)

    def _make_room(self) -> None:
        """Delete the least recently used entries, those at last whose files a result shares: they
        take next to no space."""
        entries = []
        for path in self._folder.iterdir():
            used = path.stat().st_mtime
            if path.name.startswith(_PARTIAL):
                if time.time() - used > _ABANDONED:
                    _delete(path)
                continue
            files = [file.stat() for file in path.rglob("*") if file.is_file()]
            own = sum(file.st_size for file in files if file.st_nlink == 1)
            entries.append((any(file.st_nlink > 1 for file in files), used, own, path))
        total = sum(own for _, _, own, _ in entries)
        for _, _, own, path in sorted(entries):
            if total <= self._max_bytes:
                return
            self._drop(path)
            total -= own

    def _drop(self, entry: Path) -> None:
        """Delete an entry, which no other job sees half deleted."""
        partial = self._folder / f"{_PARTIAL}{secrets.token_hex(8)}"
        with suppress(OSError):
            entry.rename(partial)
            _delete(partial)


def _copy(source: Path, target: Path) -> None:
    """A file as a copy of its own; the files of a folder as hard links, where that is possible."""
    if not source.is_dir():
        shutil.copyfile(source, target)
        return
    target.mkdir(exist_ok=True)
    for file in _files(source):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.hardlink_to(file)
        except OSError:  # another file system, or one without links
            shutil.copyfile(file, copy)


def _files(folder: Path) -> list[Path]:
    """Hidden ones left out: Snakemake puts a time stamp there."""
    return sorted(
        file for file in folder.rglob("*") if file.is_file() and not file.name.startswith(".")
    )


def _hashes(outputs: Mapping[str, str]) -> dict[str, str]:
    """`NAME` or `NAME/file` -> sha256."""
    hashes = {}
    for name, path in outputs.items():
        if Path(path).is_dir():
            for file in _files(Path(path)):
                hashes[f"{name}/{file.relative_to(path).as_posix()}"] = hashing.file_hash(file)
        else:
            hashes[name] = hashing.file_hash(path)
    return hashes


def _rename(source: Path, target: Path) -> None:
    """Raises FileExistsError where another job has made the same in the meantime."""
    try:
        source.rename(target)
    except OSError:
        if target.is_dir():
            raise FileExistsError(target) from None
        raise


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """A virtual machine may hide some of those that the processor's name promises."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if re.match(r"flags|Features", line)), "")
    return sorted(flag for flag in set(flags.split()) if _INSTRUCTIONS.match(flag))


def _gpus() -> list[str]:
    """The names of the GPUs that this job may use, from the driver: torch takes seconds to load."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, name, device = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    names = []
    for number in range(count.value):
        cuda.cuDeviceGet(ctypes.byref(device), number)
        cuda.cuDeviceGetName(name, len(name), device)
        names.append(name.value.decode(errors="replace"))
    return names
