"""A disk that is full, whatever library says so."""

import errno
import os

import pytest
from deltatune.core import disk


def raised_from(error: Exception) -> Exception:
    try:
        try:
            raise error
        except Exception as cause:
            raise ValueError("while saving") from cause
    except ValueError as outer:
        return outer


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left (3 GB needed)"), "the disk is full: No space left"),
        (OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)), "the disk quota is used up: "),
        (RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)} (os error 28)"), "the disk is full"),
    ],
)
def test_a_full_disk_is_seen_behind_any_error(error, message):
    for outer in (error, raised_from(error)):
        assert disk.full(outer).startswith(message)
        assert "Free some space, and run again" in disk.unwritable(outer)


def test_other_errors_are_not_taken_for_it():
    read_only = OSError(errno.EROFS, os.strerror(errno.EROFS), "results/x")
    assert disk.full(read_only) == "" and "(results/x)" in disk.unwritable(read_only)
    assert disk.full(ValueError("x")) == disk.unwritable(ValueError("x")) == ""
