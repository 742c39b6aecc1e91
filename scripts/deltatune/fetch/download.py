"""Resumable downloads of large files over HTTP: within a run, and by the next one.

A partial file is `<name>.incomplete` beside its target, and is renamed to the target once it is
complete. Standard library only.
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
RETRY_DELAYS = (1, 3, 9)
"""Seconds before each retry; after a try that received something, the first again."""
PROGRESS_INTERVAL = 5
"""Seconds between two lines of progress."""
MAX_RETRY_AFTER = 60
"""Seconds of a Retry-After header above which we give up instead."""

Address = tuple[str, dict[str, str]]
"""A URL and the headers that are for its own host only, such as the one with the token."""


class ConnectionBroken(ConnectionError):
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
    """Download one file to `target`, resuming what an earlier call left.

    locate: gives the address, for each try a new one, since signed ones expire. progress: gets
    lines of progress. sha256: of the whole file, checked at the end. Without it a partial file is
    only resumed if the server says that it is still the same (ETag or Last-Modified).

    Raises ConnectionBroken; urllib.error.HTTPError for an answer that no retry would change;
    OSError with ENOSPC before or when the disk is full; WrongContent, after which nothing is left.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".incomplete")
    delays = iter(RETRY_DELAYS)
    while True:
        before = _size(part)
        try:
            _receive(locate(), part, target.name, progress, bool(sha256))
        except (ConnectionBroken, urllib.error.HTTPError) as error:
            if _size(part) > before:
                delays = iter(RETRY_DELAYS)
            wait = _retry_delay(error, delays)
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
    address: Address, part: Path, name: str, progress: Callable[[str], None], has_checksum: bool
) -> None:
    """One request that fills `part` up to its end. has_checksum: its content is checked
    at the end."""
    received = _size(part)
    saved = _validator_file(part)
    validator = saved.read_text(encoding="utf-8") if saved.is_file() else ""
    url, private = address
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    for key, value in private.items():
        # urllib would send an ordinary header, a token included, to the host of any redirect.
        request.add_unredirected_header(key, value)
    if received and (has_checksum or validator):
        request.add_header("Range", f"bytes={received}-")
        if not has_checksum:
            request.add_header("If-Range", validator)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            begin = received if _is_the_rest(response, received) else 0
            length = response.headers.get("Content-Length")
            total = begin + int(length) if length else None
            _check_free_space(part, total, begin)
            _validator_file(part).write_text(_validator(response), encoding="utf-8")
            _copy(response, part, begin, total, name, progress)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # We received all of it, or more than there is: the checksum or the size decides.
            whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
            if received and whole == str(received):
                return
            part.unlink(missing_ok=True)
            raise ConnectionBroken(
                "the unfinished file was longer than the one on the server"
            ) from None
        raise
    except urllib.error.URLError as error:
        raise ConnectionBroken(str(error.reason)) from None


def _copy(
    response: Any,
    part: Path,
    begin: int,
    total: int | None,
    name: str,
    progress: Callable[[str], None],
) -> None:
    received, reported = begin, time.monotonic()
    with part.open("ab" if begin else "wb") as file:
        while True:
            try:
                chunk = response.read1(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                raise ConnectionBroken(
                    f"{_progress_of(received, total)}: {error or type(error).__name__}"
                ) from None
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            if time.monotonic() - reported >= PROGRESS_INTERVAL:
                reported = time.monotonic()
                progress(f"{name}: {_progress_of(received, total)}")
    if total is not None and received < total:
        raise ConnectionBroken(f"the connection broke off at {_progress_of(received, total)}")


def _is_the_rest(response: Any, received: int) -> bool:
    """Whether the answer is the rest of the file, not all of it."""
    return response.status == 206 and (response.headers.get("Content-Range") or "").startswith(
        f"bytes {received}-"
    )


def _validator(response: Any) -> str:
    """What identifies this version of the file, or "" (a weak ETag does not)."""
    etag = response.headers.get("ETag") or ""
    return etag if etag.startswith('"') else response.headers.get("Last-Modified") or ""


def _check_free_space(part: Path, total: int | None, received: int) -> None:
    """Stop before hours of downloading what cannot be stored."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - received > free:
        needed = f"{file_size(total - received)} needed, {file_size(free)} free"
        raise OSError(errno.ENOSPC, f"No space left on device ({needed})", str(part.parent))


def _retry_delay(error: Exception, delays: Any) -> float | None:
    """Seconds until the next try, or None where a retry is useless."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code not in (408, 429) and error.code < 500:
            return None
        asked = error.headers.get("Retry-After") or ""
        if asked.isdigit():
            wait = next(delays, None)
            return None if wait is None or int(asked) > MAX_RETRY_AFTER else max(wait, int(asked))
    return next(delays, None)


def _validator_file(part: Path) -> Path:
    return part.with_name(part.name + ".etag")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _progress_of(received: int, total: int | None) -> str:
    return f"{file_size(received)} of {file_size(total)}" if total else file_size(received)
