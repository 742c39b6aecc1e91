"""Foreign text on the page and in figures."""

import re

from deltatune.core import table_text
from deltatune.core.text import REPLACEMENT, sanitize

# Characters without a width or a picture, in which a text can hide another: the soft hyphen,
# fillers of Hangul, marks of direction, spaces and joiners of no width (but U+200C and U+200D,
# which scripts and emoji need), invisible operators, annotations, formats of music, the tag
# characters, and selectors of variations beyond the 16 that emoji need.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f"
    "\u3164\uffa0\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def clean(text) -> str:
    """The text with every character that could not be seen, or would break a file, made visible.

    Control characters become their pictures (U+2400 and on); direction overrides, characters
    without a width and lone surrogates U+FFFD. Newlines and tabs stay, as do the joiners that
    scripts and emoji need. None and NaN become an empty text.
    """
    if text is None or (isinstance(text, float) and text != text):
        return ""
    visible = sanitize(str(text).replace("\r\n", "\n"), replace=_picture)
    return _UNSEEN.sub(REPLACEMENT, visible)


def brief(text, most: int = table_text.MOST) -> str:
    """A text that is no answer of a model, as it is shown: `clean`, and cut where it is so long
    that nobody reads it: a label, an id or a message may have megabytes."""
    return clean(table_text.beginning(text, most) if isinstance(text, str) else text)


def _picture(character: str) -> str:
    code = ord(character)
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else REPLACEMENT
