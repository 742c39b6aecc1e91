"""Errors of a disk that is full or may not be written, whatever library raises them."""

from __future__ import annotations

import errno
import os

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
}
_ADVICE = {
    **{number: f"{what}. Free some space" for number, what in _FULL.items()},
    errno.EROFS: "the folder can only be read. Make it writable",
    errno.EACCES: "a file or folder may not be written or read. Change its permissions",
}


def full(error: BaseException) -> str:
    """`the disk is full`, with what the system says of it, or "" for an error of another kind."""
    number, cause = _find(error, _FULL)
    return f"{_FULL[number]}: {getattr(cause, 'strerror', None) or cause}" if number else ""


def unwritable(error: BaseException) -> str:
    """What to do about an error that says that a file cannot be written; "" for any other."""
    number, cause = _find(error, _ADVICE)
    if not number:
        return ""
    file = getattr(cause, "filename", None)
    where = f" ({file})" if file else ""
    return f"stopped: {_ADVICE[number]}, and run again{where}: finished results are kept."


def _find(error: BaseException, numbers: dict[int, str]) -> tuple[int, BaseException]:
    """The first of these errno values that an error, or one that it came from, has; or 0.

    safetensors, pyarrow and others raise errors of their own with the system's words in them.
    """
    cause: BaseException | None = error
    while cause is not None:
        for number in numbers:
            if getattr(cause, "errno", None) == number or os.strerror(number) in str(cause):
                return number, cause
        cause = cause.__cause__ or cause.__context__
    return 0, error
