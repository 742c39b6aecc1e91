"""The files that records are read from: as they are, compressed, or in a zip archive."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import pyarrow as pa

from deltatune.core.errors import UserError
from deltatune.core.text import excerpt
from deltatune.data.formats import SUFFIXES, below_shared_folder, readable, suffix, unread
from deltatune.data.records import SPLIT_NAMES, SPLITS

_BROKEN = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, pa.ArrowException, OSError)


@dataclass(frozen=True)
class File:
    """member: the file's name in a zip archive, "" for a file by itself. where: path of the data
    set in config.yaml, for messages."""

    path: Path
    where: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path} ({excerpt(self.member)})" if self.member else str(self.path)

    @property
    def name(self) -> str:
        return PurePosixPath(self.member).name or self.path.name

    @property
    def suffix(self) -> str:
        """That of the format: .csv of data.csv.gz."""
        return suffix(self.name)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Its bytes, unpacked as they are read. Raises UserError where they cannot be."""
        with ExitStack() as stack:
            try:
                if self.member:
                    archive = stack.enter_context(zipfile.ZipFile(self.path))
                    raw: Any = stack.enter_context(archive.open(self.member))
                else:
                    raw = stack.enter_context(self.path.open("rb"))
                yield stack.enter_context(_unpacked(raw))
            except NotImplementedError as error:
                raise self._unreadable(str(error)) from None
            except RuntimeError as error:
                if not self.member:
                    raise
                raise self._unreadable(f"{error}; unpack it first") from None
            except _BROKEN as error:
                reason = getattr(error, "strerror", None) or excerpt(str(error), 200)
                advice = "; if it is damaged, fetch or pack it again"
                raise self._unreadable(f"{reason}{advice}") from None

    def _unreadable(self, reason: str) -> UserError:
        return UserError(f"{self.where}: {self} cannot be read: {reason}")

    @contextmanager
    def seekable(self) -> Iterator[Path | BinaryIO]:
        """The file for a reader that goes back and forth: unpacked to disk where it is packed."""
        with self.open() as file:
            if not self.member and isinstance(file, io.BufferedReader) and _is_plain(file):
                yield self.path
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(file, copy, 2**20)
                copy.seek(0)
                yield copy


def _is_plain(file: io.BufferedReader) -> bool:
    return isinstance(file.raw, io.FileIO)


@contextmanager
def _unpacked(raw: Any) -> Iterator[BinaryIO]:
    """By the first bytes, whatever the name says."""
    head = raw.peek(10)[:10]
    if head.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=raw) as file:
            yield file
    elif head.startswith(b"BZh") and head[4:] == b"1AY&SY":
        with bz2.BZ2File(raw) as file:
            yield file
    elif head.startswith(b"\xfd7zXZ\0"):
        with lzma.LZMAFile(raw) as file:
            yield file
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        stream = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
        with io.BufferedReader(stream) as file:
            yield file
    else:
        yield raw


def labels(files: Sequence[File]) -> list[str]:
    """A short name for each of several files, that of an archive before those in it."""
    return below_shared_folder([str(file.path / file.member) for file in files])


def named_like_splits(files: Sequence[File]) -> list[str]:
    """That files which are read as one dataset are called after its splits, a sentence; [] where
    they are not."""
    names = {}
    for label in labels(files) if len(files) > 1 else ():
        words = re.findall("[a-z]+", label.lower())
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        names.setdefault(split, label)
    names.pop(None, None)
    if len(names) < 2:
        return []
    listed = ", ".join(
        f"{split}: {excerpt(names[split], 60)}" for split in SPLITS if split in names
    )
    return [
        f"files that are called after splits ({listed}) are joined, and the task splits their "
        "records anew; to keep these splits, write `path: {train: ..., test: ...}`"
    ]


def members(path: Path, where: str) -> list[File]:
    """A file, or of a zip archive the files in it that hold records or text, by their names."""
    names = _archived(path, where)
    if names is None:
        return [File(path, where)]
    known = readable(_shown(names))
    if not known:
        listed = ", ".join(excerpt(name, 40) for name in names[:10]) or "nothing"
        raise UserError(
            f"{where}: {path} holds no file that can be read ({', '.join(SUFFIXES)}, .txt); it "
            f"holds {listed}"
        )
    return [File(path, where, name) for name in known]


def left_out(paths: Sequence[Path], where: str) -> list[str]:
    """What is not read of zip archives, a sentence for each of them."""
    notes = []
    for path in paths:
        shown = _shown(_archived(path, where) or [])
        if others := unread(shown, readable(shown)):
            notes.append(f"of {path.name} {others}")
    return notes


def _shown(names: Sequence[str]) -> list[str]:
    return [name for name in names if not _is_hidden(name)]


def _archived(path: Path, where: str) -> list[str] | None:
    """The files in a zip archive; None for a file that is none, and for a spreadsheet."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\x03\x04":
                return None
            with zipfile.ZipFile(file) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except OSError:  # told when the file is read
        return None
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise UserError(
            f"{where}: {path} is a broken zip archive: {error}; fetch or pack it again"
        ) from None
    is_spreadsheet = {"xl/workbook.xml", "content.xml"} & set(names)
    return None if is_spreadsheet else sorted(names)


def _is_hidden(name: str) -> bool:
    """What macOS puts beside the files, among others."""
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
