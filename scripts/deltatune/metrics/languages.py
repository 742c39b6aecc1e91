"""What metrics need to know of the language of a task."""

from __future__ import annotations

from deltatune.core.errors import UserError
from deltatune.core.text import nearest, suggestion

NEUTRAL = "none"
"""The language of answers without one: code, formulas, symbols."""
NOT_BY_WORDS = ("th", "lo", "km", "my", NEUTRAL)
"""Languages whose words no metric here can tell apart: no spaces, or symbols that carry meaning."""
# The two-letter codes of ISO 639-1.
_CODES = (
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs "
    "ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es et eu fa ff "
    "fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id "  # codespell:ignore fo
    "ie ig ii ik io is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku "
    "kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my "
    "na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu "  # codespell:ignore nd
    "rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su "
    "sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi "
    "vo wa wo xh yi yo za zh zu "
)
_TWO_LETTERS = frozenset(_CODES.split())
# Codes that BCP 47 writes with two letters, and what countries are taken for.
_MEANT = {
    **{"eng": "en", "deu": "de", "ger": "de", "spa": "es", "fra": "fr", "fre": "fr", "rus": "ru"},
    **{"zho": "zh", "chi": "zh", "jpn": "ja", "kor": "ko", "ara": "ar"},
    **{"cn": "zh", "jp": "ja", "gr": "el", "cz": "cs", "dk": "da", "ua": "uk"},
}


def check_language(code: str) -> str:
    """Give the code of a language back. Raises UserError for one that does not exist.

    Other codes of three letters are taken as they are: ISO 639-3 has 8,000 of them.
    """
    letters = code.isascii() and code.isalpha() and code.islower()
    exists = code == NEUTRAL or code in _TWO_LETTERS or (letters and len(code) == 3)
    if exists and code not in _MEANT:
        return code
    primary = code.lower().replace("_", "-").partition("-")[0]
    near = suggestion(_MEANT.get(primary) or nearest(primary, sorted(_TWO_LETTERS)))
    raise UserError(
        f"'{code}' is not the code of a language{near}; write a primary code of BCP 47, such as "
        f"en, es or zh, or {NEUTRAL}"
    )
