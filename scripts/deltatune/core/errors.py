"""The exceptions that are meant for the person at the keyboard."""


class UserError(Exception):
    """Something that the user can fix: a setting, a row, a file.

    The message says what was wrong, where, and what to do; it is shown without a traceback.
    """


class Stopped(UserError):
    """A job was asked to stop and has saved its state; the message says how it goes on."""
