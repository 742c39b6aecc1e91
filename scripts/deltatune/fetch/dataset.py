"""A dataset's records, wherever they come from: a file, an address, or the hub."""

from __future__ import annotations

import hashlib
import urllib.error
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from deltatune.core import disk, hashing
from deltatune.core.errors import UserError
from deltatune.data import gutenberg
from deltatune.data.formats import below_shared_folder
from deltatune.data.readers import read
from deltatune.data.readers.files import File
from deltatune.data.readers.joined import Splits
from deltatune.fetch import download
from deltatune.fetch.dataset_settings import DatasetSettings, HubSource, SampleSource, UrlSource


def records(
    settings: DatasetSettings,
    files: Sequence[Path],
    write: Path,
    rejects: Path,
    downloads: Path,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Write records.parquet and rejects.csv of one dataset.

    files: its files, for sample and file. downloads: folder for what comes from an address.
    Returns counts and, for the manifest, what was read. Raises UserError that says what to do.
    """
    where, chosen = f"datasets.{settings.dataset}", settings.source
    out = {"write": write, "rejects": rejects, "where": where}
    table = {"columns": settings.columns, "groups": settings.groups, "used": settings.used}
    if isinstance(chosen, HubSource):
        from deltatune.fetch import hub

        named = {"": chosen.split} if isinstance(chosen.split, str) else chosen.split.named
        sources, facts = hub.dataset(
            chosen.id, chosen.config, list(named.values()), chosen.revision, where, progress
        )
        source = sources[0] if "" in named else Splits(dict(zip(named, sources, strict=True)))
        return facts | read.read_rows(source, f"'{chosen.id}'", **table, **out)
    facts: dict[str, Any] = {}
    if isinstance(chosen, UrlSource):
        files = [_download(chosen, downloads, where, progress)]
        facts["source_sha256"] = hashing.file_hash(files[0])
        if settings.text:
            book, stripped = _book(files[0], chosen.gutenberg, where)
            files, facts = [book], facts | stripped
    else:
        hashes = list(map(hashing.file_hash, files))
        names = below_shared_folder(list(map(str, files)))
        several = dict(zip(names, hashes, strict=True))
        facts["source_sha256"] = hashes[0] if len(hashes) == 1 else several
    if settings.text:
        return facts | read.read_text(files, **out)
    format = None if isinstance(chosen, SampleSource) else chosen.format
    splits = [split for split, number in settings.given.items() for _ in range(number)]
    return facts | read.read_records(files, format, splits=splits or None, **table, **out)


def _download(chosen: UrlSource, folder: Path, where: str, progress: Callable[[str], None]) -> Path:
    """The file behind the address; one that is here already is taken as it is."""
    url, sha256 = chosen.url, chosen.sha256
    name = unquote(urlsplit(url).path).rpartition("/")[2] or "file"
    path = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-{name[-80:]}"
    if path.is_file() and sha256 in (None, hashing.file_hash(path)):
        return path
    try:
        download.fetch(lambda: (url, {}), path, progress, sha256)
    except download.WrongContent as error:
        raise UserError(
            f"{where}.sha256: {url} gives a file with the sha256 {error.sha256}, not {sha256}. If "
            "the file was changed on purpose, update the sha256 in config.yaml."
        ) from None
    except urllib.error.HTTPError as error:
        raise UserError(f"{where}.url: {_answered(error.code, url)}") from None
    except download.ConnectionBroken as error:
        raise UserError(
            f"{where}.url: {url} could not be fetched: {error}. Check the URL, the network and the "
            "proxy (HTTPS_PROXY), then run again: the next run resumes the download."
        ) from None
    except OSError as error:
        reason = disk.full(error)
        if not reason:
            raise
        raise UserError(
            f"{where}: {reason}. Free some space in {folder}; the next run resumes the download."
        ) from None
    return path


def _answered(status: int, url: str) -> str:
    if status in (404, 410):
        return f"there is nothing at {url} (HTTP {status}); check the address"
    if status in (401, 403):
        return (
            f"{url} may not be fetched by everybody (HTTP {status}); download it yourself and use "
            "`source: file`"
        )
    if status == 429:
        return f"{url}: too many requests from here (HTTP 429); wait some minutes and run again"
    return f"the server of {url} answered with HTTP {status}; run again later"


def _book(path: Path, wanted: bool | str, where: str) -> tuple[Path, dict[str, Any]]:
    """A text without the header and footer of Project Gutenberg. wanted: true, false, "auto"."""
    book = None
    if wanted:
        with File(path, where).open() as file:
            book = gutenberg.strip(gutenberg.decode(file.read()))
    if book is None:
        if wanted is True:
            raise UserError(
                f"{where}.gutenberg: the text lacks the markers of Project Gutenberg (*** START OF "
                "..., *** END OF ...). Use another edition, or set it to false."
            )
        return path, {}
    body = path.with_name(f"{path.name}.body.txt")
    body.write_text(book.text, encoding="utf-8")
    lines = {"header_lines": book.header_lines, "footer_lines": book.footer_lines}
    return body, {"gutenberg": lines}
