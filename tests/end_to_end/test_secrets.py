"""The token of the hub is nowhere in what a whole run leaves behind."""

from __future__ import annotations

import base64
import gzip
import json
import zipfile

import pandas as pd
from canary import files_with
from conftest import run_snakemake
from fetch_process import CANARY

PACKED = {
    "log.txt": lambda text: f"Authorization: Bearer {text}".encode(),
    "url.txt": lambda text: "".join(f"%{ord(c):02X}" for c in text).encode(),
    "one.b64": lambda text: base64.b64encode(f"x{text}y".encode()),
    "two.b64": lambda text: base64.b64encode(f"xx{text}".encode()),
    "data-uri.html": lambda text: (
        b"<a href='data:text/plain;base64," + base64.b64encode(gzip.compress(text.encode())) + b"'>"
    ),
    "page.gz": lambda text: gzip.compress(text.encode()),
    "record.json": lambda text: json.dumps(
        {"a": base64.b64encode(text.encode()).decode()}
    ).encode(),
    "utf16.txt": lambda text: text.encode("utf-16"),
}


def test_the_search_finds_a_token_however_it_is_packed(tmp_path):
    for name, pack in PACKED.items():
        (tmp_path / name).write_bytes(pack(CANARY))
    pd.DataFrame({"a": [f"a {CANARY}"]}).to_parquet(tmp_path / "t.parquet", compression="zstd")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(tmp_path / "t.parquet", "inner.parquet")
    hidden = base64.urlsafe_b64encode(CANARY.encode()).decode()
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / hidden).write_text("x")
    (tmp_path / "clean.txt").write_text(CANARY[:-1])
    names = files_with(tmp_path, CANARY)
    assert set(names) == {*PACKED, "t.parquet", "a.zip", f".hidden/{hidden}"}


def test_the_token_is_in_nothing_that_the_run_left(small_run):
    """small_run had it in its environment, see conftest.py."""
    kinds = {path.suffix for path in small_run.rglob("*") if path.is_file()}
    assert {".parquet", ".arrow", ".json", ".csv", ".tsv", ".log", ".html", ".safetensors"} <= kinds
    assert list(small_run.glob(".snakemake/metadata/*")), "Snakemake's own records are looked at"
    assert files_with(small_run, CANARY) == []


def test_the_token_is_not_in_snakemakes_report(small_run, tmp_path):
    """The archive holds the page and all that it shows."""
    done = run_snakemake(small_run, "--report", str(tmp_path / "r.zip"), HF_TOKEN=CANARY)
    assert done.returncode == 0, done.stdout
    assert CANARY not in done.stdout
    assert files_with(tmp_path, CANARY) == []
