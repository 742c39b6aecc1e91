"""What terminal and page say alike."""

from __future__ import annotations

from deltatune.preview.rows import Piece, Row
from deltatune.preview.tokens import Token
from deltatune.report.numbers import plural
from deltatune.tokens.settings import Truncation

CUTS: dict[Truncation, str] = {
    "truncate": "its end is cut off",
    "shorten_prompt": "a part of its prompt is left out",
    "leave_out_turns": "its last turns are left out",
}
"""What a document longer than max_length has lost."""
_SMALL = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
LINE_END, TAB = "↵", "⇥"


def token_text(token: Token, others: str = "") -> str:
    """Its text as `visible` makes it, and in small digits how many tokens make it, if several."""
    count = str(token.count).translate(_SMALL) if token.count > 1 else ""
    return visible(token.text, others) + count


def visible(text: str, others: str = "") -> str:
    """A token's text with what cannot be seen made visible: ↵ before a line break, ⇥ for a tab,
    and \\u200b for a character that is not printable, or is among `others`."""
    return "".join(_visible(character, others) for character in text)


def _visible(character: str, others: str) -> str:
    if character == "\n":
        return f"{LINE_END}\n"
    if character == "\t":
        return TAB
    if character.isprintable() and character not in f"{LINE_END}{TAB}{others}":
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def row_title(row: Row, rows: int) -> str:
    """rows: of the whole split."""
    padding = f", {row.padding:,} of padding" if row.padding else ", no padding"
    return (
        f"Row {row.number + 1:,} of {rows:,}: {plural(len(row.pieces), 'documents')} in "
        f"{row.length:,} tokens{padding}"
    )


def piece_title(piece: Piece, truncation: Truncation) -> str:
    """Which record it is, what of it is trained on, and how it was cut."""
    first_token, last_token = piece.start + 1, piece.start + piece.length
    parts = [
        f"Record {piece.record}",
        f"tokens {first_token:,} to {last_token:,}",
        f"loss on {piece.supervised:,} of {piece.length:,}" if piece.supervised else "NO LOSS",
    ]
    if piece.parts > 1:
        parts.append(f"split: part {piece.part} of {piece.parts}")
    if piece.truncated:
        parts.append(f"{CUTS[truncation]} (max_length)")
    return ", ".join(parts)
