"""Whether what a stage reads is still what the stage before it made.

Snakemake knows when a file was changed, not whether a failing disk, a killed job or an edit has
damaged it: half a table is a table too. So each stage leaves the SHA-256 of its outputs under
results/checksums/, and checks those of its inputs before it begins. A file that no stage made, a
user's data above all, has no checksum there and may be anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.core.paths import RESULTS

ALL = Path(RESULTS)
CHECKSUMS = "checksums"


def record(outputs: Iterable[str], results: Path = ALL) -> None:
    """Leave the checksums of a stage's outputs. Of a folder there are hashes beside it, see
    `hashing.write_hashes`; they are an output of their own. results: the folder of all results."""
    for path in map(Path, outputs):
        file = _checksum_file(path, results)
        if file and path.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{hashing.file_hash(path)}  {path.as_posix()}\n", encoding="utf-8")


def check(inputs: Iterable[str], results: Path = ALL) -> dict[str, str]:
    """Raise UserError where an input is not what was made, and say what to delete.

    Of a `.sha256` among the inputs, the files that it lists are looked at too: the weights that
    are about to be loaded. Returns path -> sha256 of the inputs that a stage made.
    """
    expected: dict[Path, tuple[str, Path]] = {}
    made_inputs: dict[str, str] = {}
    for path in dict.fromkeys(map(Path, inputs)):
        made = recorded(path, results)
        if made and path.is_file():
            expected[path] = made, path
            made_inputs[path.as_posix()] = expected[path][0]
        if path.suffix == ".sha256" and path.is_file():
            for name, value in hashing.read_hashes(path).items():
                expected[path.parent / name] = value, path
    # Hashing gives the interpreter free: large weights go through several cores.
    with ThreadPoolExecutor(4) as pool:
        hashes = list(pool.map(_hash, expected))
    for (path, (expected_hash, made)), actual in zip(expected.items(), hashes, strict=True):
        if actual != expected_hash:
            changed = "is not what was made: changed or damaged since"
            what = "is missing" if actual is None else changed
            raise UserError(
                f"{path} {what}. It is not used. Delete {made} and run again: it is made again."
            )
    return made_inputs


def recorded(path: Path, results: Path = ALL) -> str | None:
    """The checksum of a result, as its stage left it; None of what has none."""
    file = _checksum_file(path, results)
    if file is None or not file.is_file():
        return None
    return file.read_text(encoding="utf-8").split()[0]


def _hash(path: Path) -> str | None:
    try:
        return hashing.file_hash(path)
    except FileNotFoundError:
        return None


def _checksum_file(path: Path, results: Path) -> Path | None:
    """The file with the checksum of a result; none for a file that is no result."""
    if not path.is_relative_to(results):
        return None
    made = path.relative_to(results)
    return results.joinpath(CHECKSUMS, *made.parts[:-1], f"{made.name}.sha256")
