"""Large files over HTTP that go on where they stopped: in this run, and in the next one.

What has arrived lies in `<name>.incomplete` beside its target and becomes the target by a rename,
once it is whole. Standard library only.
"""

from __future__ import annotations

import errno
import http.client
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deltatune.core.hashing import file_hash
from deltatune.core.text import file_size

CHUNK = 2**20
"""Bytes that are read at once."""
TIMEOUT = 30
"""Seconds without a byte after which a connection counts as broken."""
WAITS = (1, 3, 9)
"""Seconds before each new try; what has made some headway begins again with the first."""
TELL = 5
"""Seconds between two lines of progress."""
LONGEST_WAIT = 60
"""Seconds that a server may ask us to wait (Retry-After) before we give up instead."""

Address = tuple[str, dict[str, str]]
"""A URL and the headers that are for its own host only, such as the one with the token."""


class Broken(ConnectionError):
    """The server could not be reached, or the connection broke off, several times in a row."""


class WrongContent(ValueError):
    """The file is not the one that was asked for. sha256: what it has."""

    def __init__(self, sha256: str) -> None:
        super().__init__(f"sha256 {sha256}")
        self.sha256 = sha256


def fetch(
    locate: Callable[[], Address],
    target: Path,
    progress: Callable[[str], None],
    sha256: str | None = None,
) -> None:
    """Download one file to `target`, going on with what an earlier call left.

    locate: gives the address, anew for each try, since signed ones expire. progress: is told how
    far it is. sha256: of the whole file, checked at the end. Without it an unfinished file is
    only continued if the server says that it is still the same (ETag or Last-Modified).

    Raises Broken; urllib.error.HTTPError for an answer that no new try would change; OSError
    with ENOSPC before or when the disk is full; WrongContent, after which nothing is left over.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".incomplete")
    waits = iter(WAITS)
    while True:
        before = _size(part)
        try:
            _receive(locate(), part, target.name, progress, bool(sha256))
        except (Broken, urllib.error.HTTPError) as error:
            if _size(part) > before:
                waits = iter(WAITS)
            wait = _pause(error, waits)
            if wait is None:
                raise
            print(f"{target.name}: {error}; trying again in {wait} s", flush=True)
            time.sleep(wait)
            continue
        if sha256 and (actual := file_hash(part)) != sha256:
            part.unlink()
            if before:  # Perhaps two versions in one file: once more, from the beginning.
                continue
            raise WrongContent(actual)
        part.replace(target)
        _validator_file(part).unlink(missing_ok=True)
        return


def _receive(
    address: Address, part: Path, name: str, progress: Callable[[str], None], known: bool
) -> None:
    """One request that fills `part` up to its end. known: a checksum will tell its content."""
    have = _size(part)
    validator = (
        _validator_file(part).read_text(encoding="utf-8") if _validator_file(part).is_file() else ""
    )
    url, private = address
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    for key, value in private.items():
        # urllib would send an ordinary header, a token included, to whoever we are sent on to.
        request.add_unredirected_header(key, value)
    if have and (known or validator):
        request.add_header("Range", f"bytes={have}-")
        if not known:
            request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            begin = have if _continues(response, have) else 0
            length = response.headers.get("Content-Length")
            total = begin + int(length) if length else None
            _room(part, total, begin)
            _validator_file(part).write_text(_validator(response), encoding="utf-8")
            _copy(response, part, begin, total, name, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # We have all of it, or more than there is: the checksum or the size will say.
            whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if have and whole == str(have):
                return
            part.unlink(missing_ok=True)
            raise Broken("the unfinished file was longer than the one on the server") from None
        raise
    except urllib.error.URLError as error:
        raise Broken(str(error.reason)) from None


def _copy(
    response: Any,
    part: Path,
    begin: int,
    total: int | None,
    name: str,
    progress: Callable[[str], None],
) -> None:
    have, reported = begin, time.monotonic()
    with part.open("ab" if begin else "wb") as file:
        while True:
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise Broken(f"{_how_far(have, total)}: {error or type(error).__name__}") from None
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
            if time.monotonic() - reported >= TELL:
                reported = time.monotonic()
                progress(f"{name}: {_how_far(have, total)}")
    if total is not None and have < total:
        raise Broken(f"the connection broke off at {_how_far(have, total)}")


def _continues(response: Any, have: int) -> bool:
    """Whether the answer is the rest of the file, not all of it again."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(
        f"bytes {have}-"
    )


def _validator(response: Any) -> str:
    """What tells this version of the file from others, or "" (a weak ETag does not)."""
    etag = response.headers.get("ETag") or ""
    return etag if etag.startswith('"') else response.headers.get("Last-Modified") or ""


def _room(part: Path, total: int | None, have: int) -> None:
    """Stop before hours of downloading what cannot be stored."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        needed = f"{file_size(total - have)} needed, {file_size(free)} free"
        raise OSError(errno.ENOSPC, f"No space left on device ({needed})", str(part.parent))


def _pause(error: Exception, waits: Any) -> float | None:
    """Seconds until the next try, or None where another is of no use."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code not in (408, 429) and error.code < 500:
            return None
        asked = error.headers.get("Retry-After") or ""
        if asked.isdigit():
            wait = next(waits, None)
            return None if wait is None or int(asked) > LONGEST_WAIT else max(wait, int(asked))
    return next(waits, None)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _how_far(have: int, total: int | None) -> str:
    return f"{file_size(have)} of {file_size(total)}" if total else file_size(have)
