"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something that the user can mend: a setting, a row, a file.

    The message says what was wrong, where, and what to do; it is shown without a traceback.
    """


def printable(text: str) -> str:
    """Text for a terminal: what would steer it, or cannot be encoded, becomes U+FFFD."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
