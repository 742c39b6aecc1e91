"""A run as one zip file: the project as it was, its configuration, and what came out.

The zip is an RO-Crate, see `crate`. The same run gives the same bytes: files in the order of their
names, no times of their own, the times of the run from those of its files.
"""

from __future__ import annotations

import hashlib
import html
import json
import mmap
import os
import re
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from deltatune.archive import crate
from deltatune.core import hashing
from deltatune.core.errors import UserError
from deltatune.core.paths import RESULTS, ROOT

#: Files of a run that may name a path of this machine.
TEXT = (".csv", ".html", ".json", ".svg", ".txt")
#: What is compressed already, or noise: stored as it is.
DENSE = (".safetensors", ".parquet", ".png", ".zip", ".gz")
SECRET = re.compile(r"(^|_)(TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|CREDENTIALS?)(_|$)")
_EPOCH = (1980, 1, 1, 0, 0, 0)

Content = Path | bytes


def collect(
    results: Iterable[str],
    adapters: Iterable[str],
    workflow: Iterable[str],
    sources: Iterable[str],
    settings: Mapping[str, Any],
    folder: Path = Path(RESULTS),
) -> dict[str, Content]:
    """Path in the archive -> the file, or the bytes where they are not those of a file.

    results, workflow, sources: files; adapters: folders; settings: as `contents.settings`
    gives them; folder: of all results. Raises UserError for an adapter that is not what was
    trained.
    """
    members: dict[str, Content] = {}
    for path in workflow:
        members[_posix(Path(path).absolute().relative_to(ROOT))] = Path(path)
    members["config.yaml"] = settings["config"].encode()
    for path in sources:
        members[settings["moved"].get(path, _posix(path))] = Path(path)
    replacements = _replacements(settings["moved"])
    for path in results:
        members[_in_run(path, folder)] = _without_local_paths(Path(path), replacements)
    for adapter in map(Path, adapters):
        hashes = hashing.read_hashes(adapter.with_suffix(".sha256"))
        for name, wanted in hashes.items():
            file = adapter.parent / name
            if not file.is_file() or hashing.file_hash(file) != wanted:
                raise UserError(
                    f"{file} has changed since training: its hash is not that in "
                    f"{adapter.with_suffix('.sha256')}. Delete {adapter} and run again."
                )
            members[_in_run(file, folder)] = file
    _refuse_secrets(members)
    return dict(sorted(members.items()))


def write(
    path: Path,
    members: Mapping[str, Content],
    settings: Mapping[str, Any],
    preview: Callable[[dict], str],
    folder: Path = Path(RESULTS),
) -> dict[str, Any]:
    """Write the archive.

    members: as `collect` gives them. preview: metadata -> a page that shows it. folder: of
    all results. Returns counts.
    """
    files = [_file(name, content) for name, content in members.items()]
    start, end = times(members, folder)
    document = crate.metadata(
        files,
        settings,
        start=start,
        end=end,
        versions=versions(members),
        verdict=_verdict(members),
    )
    own = {crate.METADATA: crate.text(document).encode(), crate.PREVIEW: preview(document).encode()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*own.items(), *members.items()]:
            _add(archive, name, content)
    return {
        "files": len(files),
        "bytes": sum(file.size for file in files),
        "started": start.isoformat(),
        "ended": end.isoformat(),
    }


def times(
    members: Mapping[str, Content], folder: Path = Path(RESULTS)
) -> tuple[datetime, datetime]:
    """When the run began and ended, by the times of its files and the seconds in their manifests.

    A folder that was copied without the times of its files gives those of the copy.
    """
    made = {name: _mtime(name, folder) for name in members if name.startswith(f"{crate.RUN}/")}
    began = [
        made[name] - record["seconds"]
        for name, record in _manifests(members)
        if isinstance(record.get("seconds"), int | float)
    ]
    start, end = min([*began, *made.values()]), max(made.values())
    return datetime.fromtimestamp(int(start), UTC), datetime.fromtimestamp(int(end), UTC)


def versions(members: Mapping[str, Content]) -> set[tuple[str, str]]:
    """(package, version) of all that the manifests of a run name."""
    return {
        pair
        for _, record in _manifests(members)
        if isinstance(record.get("versions"), dict)
        for pair in record["versions"].items()
    }


def _manifests(members: Mapping[str, Content]) -> Iterable[tuple[str, dict[str, Any]]]:
    for name, content in members.items():
        if name.startswith(f"{crate.RUN}/") and name.endswith(".json"):
            record = json.loads(_bytes(content))
            if isinstance(record, dict):
                yield name, record


def _verdict(members: Mapping[str, Content]) -> str:
    return " ".join(_bytes(members[f"{crate.RUN}/verdict.txt"]).decode().splitlines())


def _posix(path: str | Path) -> str:
    return str(PurePosixPath(path))


def _in_run(path: str | Path, folder: Path) -> str:
    """results/a/b.csv -> run/a/b.csv."""
    return str(PurePosixPath(crate.RUN, Path(path).relative_to(folder)))


def _mtime(name: str, folder: Path) -> float:
    """Of the file of results/ that a name in run/ stands for."""
    return folder.joinpath(*PurePosixPath(name).parts[1:]).stat().st_mtime


def _replacements(moved: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """(a path of this machine, what stands in its place), the longest first, as they are written
    in plain text, in JSON and in HTML."""
    paths = {path: name for path, name in moved.items() if Path(path).is_absolute()}
    paths |= {f"{folder}/": "" for folder in (ROOT, Path.cwd(), Path.cwd().resolve())}
    escapes = (str, lambda text: json.dumps(text)[1:-1], html.escape)
    pairs = {
        (escape(path).encode(), escape(name).encode())
        for path, name in paths.items()
        for escape in escapes
    }
    return sorted(pairs, key=lambda pair: (-len(pair[0]), pair))


def _without_local_paths(path: Path, replacements: Iterable[tuple[bytes, bytes]]) -> Content:
    """A result, without paths of this machine."""
    if path.suffix not in TEXT:
        return path
    original = text = path.read_bytes()
    for local, archived in replacements:
        text = text.replace(local, archived)
    return path if text == original else text


def _refuse_secrets(members: Mapping[str, Content]) -> None:
    """Raise UserError where a file holds what an environment variable keeps secret."""
    secrets = {
        name: value.encode()
        for name, value in os.environ.items()
        if SECRET.search(name) and len(value) >= 8 and not value.startswith("/")
    }
    for name, content in members.items() if secrets else ():
        for variable, value in secrets.items():
            if _holds(content, value):
                raise UserError(
                    f"{name} holds the value of {variable}, which is secret, so nothing was "
                    "archived. Remove it from that file, and revoke the secret."
                )


def _holds(content: Content, value: bytes) -> bool:
    if isinstance(content, bytes):
        return value in content
    if content.stat().st_size == 0:
        return False
    with content.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(value) >= 0


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _file(name: str, content: Content) -> crate.File:
    if isinstance(content, bytes):
        return crate.File(name, len(content), hashlib.sha256(content).hexdigest())
    return crate.File(name, content.stat().st_size, hashing.file_hash(content))


def _add(archive: zipfile.ZipFile, name: str, content: Content) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.external_attr = 0o100644 << 16
    info.create_system = 3
    dense = name.endswith(DENSE)
    info.compress_type = zipfile.ZIP_STORED if dense else zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(info, content)
        return
    info.file_size = content.stat().st_size
    with content.open("rb") as source, archive.open(info, "w") as target:
        shutil.copyfileobj(source, target, 1 << 20)
