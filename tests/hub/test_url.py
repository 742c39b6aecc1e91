"""Files from an address: whole, in order, resumed, and what a failure says."""

from __future__ import annotations

import hashlib
import os
import urllib.error
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from deltatune.core.errors import UserError
from deltatune.data.chunking import chunk_text
from deltatune.fetch import dataset, download
from deltatune.fetch.dataset_settings import DatasetSettings
from deltatune.workflow.flow import Flow
from fetch_process import project

SIZE = 3_000_000


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(download, "RETRY_DELAYS", (0, 0, 0))


@pytest.fixture
def get(tmp_path):
    """Fetch an address as the dataset x: (facts, records)."""

    def get(url: str, **more) -> tuple[dict, pd.DataFrame]:
        flow = Flow(project({"datasets": {"x": {"source": "url", "url": url, **more}}}))
        assert flow.paths.source("x") == []
        records = tmp_path / "records.parquet"
        facts = dataset.records(
            DatasetSettings.from_params(flow.params.fetch_dataset(SimpleNamespace(dataset="x"))),
            None,
            write=records,
            rejects=tmp_path / "rejects.csv",
            downloads=tmp_path / "downloads",
            progress=print,
        )
        return facts, pd.read_parquet(records)

    return get


@pytest.fixture
def table(hub) -> bytes:
    """A csv of some megabytes at /files/t.csv."""
    lines = "".join(f"{i},{i:090d}\n" for i in range(SIZE // 100))
    hub.files["t.csv"] = b"n,text\n" + lines.encode()
    return hub.files["t.csv"]


def ranges(hub) -> list:
    return [(r.range, r.status) for r in hub.requests]


def test_records_come_from_an_address(get, hub, table, tmp_path):
    facts, records = get(f"{hub.url}/files/t.csv?version=2", columns={"id": "n"})
    assert records["id"].tolist() == [str(i) for i in range(SIZE // 100)]
    assert facts["source_sha256"] == hashlib.sha256(table).hexdigest()
    assert facts["rows"] == facts["kept"] == SIZE // 100
    get(f"{hub.url}/files/t.csv?version=2", columns={"text": "text"})
    assert len(hub.requests) == 1, "it was here already"
    assert [path.name.split("-")[1] for path in (tmp_path / "downloads").iterdir()] == ["t.csv"]


def test_a_cut_connection_goes_on_at_once_and_in_the_next_run(get, hub, table):
    hub.cut["t.csv"] = 2_000_000
    with pytest.raises(UserError, match=r"datasets\.x\.url.*broke off at 2\.0 MB of 2\.9 MB.*next"):
        get(f"{hub.url}/files/t.csv")
    assert ranges(hub) == [(None, 200), *[("bytes=2000000-", 206)] * 3]
    hub.cut.clear()
    hub.requests.clear()
    facts, _ = get(f"{hub.url}/files/t.csv")
    assert ranges(hub) == [("bytes=2000000-", 206)]
    assert facts["source_sha256"] == hashlib.sha256(table).hexdigest()


def test_a_file_that_changed_meanwhile_is_fetched_anew(get, hub, table):
    hub.cut["t.csv"] = 2_000_000
    with pytest.raises(UserError):
        get(f"{hub.url}/files/t.csv")
    hub.cut.clear()
    hub.files["t.csv"] = b"n,text\n" + b"1,other\n" * 300_000
    assert get(f"{hub.url}/files/t.csv")[1]["text"].unique().tolist() == ["other"]
    # With a checksum no ETag is asked about: what does not fit is fetched from the beginning.
    hub.cut["u.csv"], hub.files["u.csv"] = 2_000_000, table
    new = b"n,text\n" + os.urandom(2_500_000).hex().encode()
    wanted = hashlib.sha256(new).hexdigest()
    with pytest.raises(UserError):
        get(f"{hub.url}/files/u.csv", sha256=wanted)
    hub.cut.clear()
    hub.files["u.csv"] = new
    hub.requests.clear()
    with pytest.raises(UserError, match="none of the"):  # no csv, but the right file
        get(f"{hub.url}/files/u.csv", sha256=wanted)
    assert ranges(hub) == [("bytes=2000000-", 206), (None, 200)]


def test_a_connection_that_breaks_off_again_and_again_gets_there(get, hub, table):
    hub.drip["t.csv"] = 500_000
    facts, _ = get(f"{hub.url}/files/t.csv")
    assert len(hub.requests) == 6 and facts["source_sha256"] == hashlib.sha256(table).hexdigest()


@pytest.mark.parametrize("more", [b"", b"left over"])
def test_an_unfinished_file_that_has_it_all_is_taken_and_one_with_more_is_not(
    hub, table, tmp_path, more
):
    (tmp_path / "t.incomplete").write_bytes(table + more)
    address = f"{hub.url}/files/t.csv", {}
    download.fetch(lambda: address, tmp_path / "t", print, hashlib.sha256(table).hexdigest())
    assert (tmp_path / "t").read_bytes() == table
    assert [r.status for r in hub.requests] == ([416, 200] if more else [416])


def test_a_server_without_ranges_sends_it_all_again(get, hub, table):
    hub.cut["t.csv"], hub.ranges = 2_000_000, False
    with pytest.raises(UserError):
        get(f"{hub.url}/files/t.csv")
    hub.cut.clear()
    facts, _ = get(f"{hub.url}/files/t.csv")
    assert facts["source_sha256"] == hashlib.sha256(table).hexdigest()


def test_a_header_for_one_host_is_not_sent_on_to_another(hub, table, tmp_path):
    hub.moved["here"] = f"{hub.storage}/there"
    address = f"{hub.url}/files/here", {"Authorization": "Bearer secret"}
    with pytest.raises(urllib.error.HTTPError):  # there is nothing there
        download.fetch(lambda: address, tmp_path / "t", print)
    assert [(r.storage, r.token) for r in hub.requests] == [(False, "secret"), (True, None)]


def test_another_file_than_the_checksum_says_is_thrown_away(get, hub, table, tmp_path):
    actual = hashlib.sha256(table).hexdigest()
    with pytest.raises(UserError, match=rf"datasets\.x\.sha256.*{actual}, not {'0' * 64}"):
        get(f"{hub.url}/files/t.csv", sha256="0" * 64)
    assert list((tmp_path / "downloads").glob("*t.csv")) == []
    get(f"{hub.url}/files/t.csv", sha256=actual)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (403, "may not be fetched by everybody .HTTP 403."),
        (404, "there is nothing at"),
        (429, "too many requests"),
        (503, "HTTP 503; run again later"),
    ],
)
def test_a_refusal_says_what_to_do_and_the_next_run_succeeds(get, hub, table, status, expected):
    hub.refuse = status
    with pytest.raises(UserError, match=rf"datasets\.x\.url: .*{expected}"):
        get(f"{hub.url}/files/t.csv")
    assert len(hub.requests) == (4 if status in (429, 503) else 1)
    hub.refuse = None
    get(f"{hub.url}/files/t.csv")


def test_no_network(get, closed):
    with pytest.raises(UserError, match=r"datasets\.x\.url.*refused.*Check the URL"):
        get(f"{closed}/files/t.csv")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk(get, hub, table, tmp_path):
    url = f"{hub.url}/files/t.csv"
    folder = tmp_path / "downloads"
    folder.mkdir()
    part = folder / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}-t.csv.incomplete"
    part.symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"datasets\.x: the disk is full.*Free some space"):
        get(url)
    part.unlink()
    get(url)


def test_what_will_not_fit_is_not_begun(get, hub, table, monkeypatch):
    usage = type("usage", (), {"free": 1_000_000})
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"2\.9 MB needed, 1\.0 MB free"):
        get(f"{hub.url}/files/t.csv")


def test_a_web_page_is_no_table(get, hub):
    hub.files["t.csv"] = b"<!DOCTYPE html><p>Not found"
    with pytest.raises(UserError, match="is a web page"):
        get(f"{hub.url}/files/t.csv")


# ---------------------------------------------------------------- books

START = "*** START OF THE PROJECT GUTENBERG EBOOK FRANKENSTEIN ***"
END = "*** END OF THE PROJECT GUTENBERG EBOOK FRANKENSTEIN ***"


def edition(text: str) -> bytes:
    header = f"The Project Gutenberg eBook of Frankenstein\n\n{START}\n\nProduced by X\n\n\n"
    contents = "CONTENTS\n\n Letter 1\n Letter 2\n Chapter 1\n\n\n"
    return f"{header}{contents}{text}\n\n{END}\n\nSTART: FULL LICENSE\n".encode()


TEXT = "Letter 1\n\nTo Mrs. Saville.\n\nLetter 2\n\nHow slowly the time passes.\n\n"
TEXT += "Chapter 1\n\n0\n\nI was born."


def test_a_book_loses_header_and_footer(get, hub):
    hub.files["84.txt.utf-8"] = edition(TEXT)
    facts, records = get(f"{hub.url}/files/84.txt.utf-8", format="txt")
    assert not records["text"].str.contains("GUTENBERG|LICENSE|Produced").any()
    assert facts["gutenberg"] == {"header_lines": 7, "footer_lines": 3}
    assert facts["source_sha256"] == hashlib.sha256(edition(TEXT)).hexdigest()
    chapters = chunk_text(records["text"], 50)["chapter"]
    assert chapters.unique().tolist() == ["", "Letter 1", "Letter 2", "Chapter 10"]


def test_header_and_footer_stay_if_they_shall(get, hub):
    hub.files["84.txt"] = edition(TEXT)
    facts, records = get(f"{hub.url}/files/84.txt", gutenberg=False)
    assert "gutenberg" not in facts and records["text"].str.contains("FULL LICENSE").any()


def test_a_book_without_the_marks(get, hub):
    hub.files["own.txt"] = TEXT.encode()
    facts, records = get(f"{hub.url}/files/own.txt")
    assert "gutenberg" not in facts and records["text"][0] == "Letter 1"
    with pytest.raises(UserError, match=r"datasets\.x\.gutenberg: .*set it to false"):
        get(f"{hub.url}/files/own.txt", gutenberg=True)


def test_the_novel_with_its_broken_headings(get, hub, shared_data):
    """The chapters of an edition as it is published are those of the bare text."""
    novel = (shared_data / "frankenstein.txt").read_text(encoding="utf-8")
    hub.files["bare.txt"], hub.files["84.txt"] = novel.encode(), edition(novel)
    editions = []
    for name in ("bare.txt", "84.txt"):
        chunks = chunk_text(get(f"{hub.url}/files/{name}")[1]["text"], 200)
        body = chunks.loc[chunks["chapter"] != "", ["chapter", "text"]]
        editions.append(body.reset_index(drop=True))
    pd.testing.assert_frame_equal(*editions)
    letters = [f"Letter {n}" for n in range(1, 5)]
    chapters = [f"Chapter {n}" for n in range(1, 19)]
    assert editions[0]["chapter"].unique().tolist() == letters + chapters
