"""Foreign text on the page and in figures."""

from deltatune.core.text import REPLACEMENT, sanitize


def clean(text) -> str:
    """The text with every character that could not be seen, or would break a file, made visible.

    Control characters become their pictures (U+2400 and on), direction overrides and lone
    surrogates U+FFFD. Newlines and tabs stay. None and NaN become an empty text.
    """
    if text is None or (isinstance(text, float) and text != text):
        return ""
    return sanitize(str(text).replace("\r\n", "\n"), replace=_picture)


def _picture(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else REPLACEMENT
