import hashlib
import os

import pytest
from deltatune.workflow import user_files


@pytest.fixture(autouse=True)
def forget():
    """Another call of snakemake."""
    user_files.fingerprint.cache_clear()
    yield
    user_files.fingerprint.cache_clear()


def test_a_file_is_known_by_its_content_whatever_its_date(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,label\n")
    fingerprint = user_files.fingerprint(path)
    assert fingerprint == hashlib.sha256(b"text,label\n").hexdigest()
    os.utime(path, (1, 1))
    user_files.fingerprint.cache_clear()
    assert user_files.fingerprint(path) == fingerprint
    path.write_bytes(b"text,lable\n")
    os.utime(path, (1, 1))
    user_files.fingerprint.cache_clear()
    assert user_files.fingerprint(path) != fingerprint


def test_a_large_file_is_known_by_its_size_and_date(tmp_path, monkeypatch):
    monkeypatch.setattr(user_files, "READ", 10)
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"0123456789")
    small = user_files.fingerprint(path)
    path.write_bytes(b"0123456789.")
    fingerprints = {small}
    # Older than before is another as well; a nanosecond counts.
    for when in (10**18, 10**18 + 1, 10**17):
        os.utime(path, ns=(when, when))
        user_files.fingerprint.cache_clear()
        fingerprints.add(user_files.fingerprint(path))
    assert len(fingerprints) == 4
    assert user_files.fingerprint(path) == f"11 bytes of {10**17}"


def test_a_file_that_is_not_there_is_no_error_here(tmp_path):
    assert user_files.fingerprint(tmp_path / "absent") == "missing"


def test_a_file_is_read_once_in_a_call(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("a")
    before = user_files.fingerprint(path)
    path.write_text("b")
    assert user_files.fingerprint(path) == before
