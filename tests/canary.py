"""Looking for a secret in all that a run leaves behind, however it is packed there."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import urllib.parse
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_LARGEST = 64 * 2**20


def forms(secret: str) -> list[bytes]:
    """The secret as it is, and as it may be written: base64 at each offset, URL, hex, reversed."""
    raw = secret.encode()
    written = [raw, raw[::-1], raw.hex().encode(), urllib.parse.quote(secret, safe="").encode()]
    written.append("".join(f"%{byte:02X}" for byte in raw).encode())
    written.append(secret.encode("utf-16-le"))
    for offset in range(3):
        # What stands before and after changes only the letters at the ends.
        encoded = base64.b64encode(b"\0" * offset + raw)
        inner = encoded[4 if offset else 0 : len(encoded) // 4 * 4 - 4]
        written += [inner, base64.urlsafe_b64encode(base64.b64decode(inner))]
    return list(dict.fromkeys(written))


def contains(data: bytes, wanted: list[bytes], depth: int = 0) -> bool:
    """Whether the secret is in the data or in anything packed in it."""
    if any(form in data for form in wanted):
        return True
    return depth < 4 and any(contains(inner, wanted, depth + 1) for inner in _inside(data))


def _inside(data: bytes) -> Iterator[bytes]:
    if data[:4] == b"PK\x03\x04":
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
    elif data[:2] == b"\x1f\x8b":
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)
    elif data[:4] == b"PAR1":
        import pyarrow.parquet as pq

        yield pq.read_table(io.BytesIO(data)).to_pandas().to_csv().encode("utf-8", "replace")
    elif len(data) < _LARGEST and b"\0" not in data[:1000]:
        # Text: Snakemake's records and the reports carry base64.
        for match in _BASE64.finditer(data):
            word = match.group().rstrip(b"=")
            with suppress(ValueError):
                yield base64.b64decode(word + b"=" * (-len(word) % 4), altchars=b"-_")
            with suppress(ValueError):
                yield base64.b64decode(word + b"=" * (-len(word) % 4))
        with suppress(ValueError):
            yield json.dumps(json.loads(data), ensure_ascii=False).encode()


def files_with(folder: Path, secret: str) -> list[str]:
    """Files below a folder whose name or content contains the secret."""
    wanted = forms(secret)
    names = []
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if contains(name.encode("utf-8", "surrogateescape"), wanted) or (
            path.is_file() and contains(path.read_bytes(), wanted)
        ):
            names.append(name)
    return names
