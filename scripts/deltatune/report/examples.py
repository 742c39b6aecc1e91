"""Texts that models wrote: made safe to show, cut to size, compared word by word, and chosen.

Everything that reaches the page as markup is built here with markupsafe, piece by piece, so that
no character of a generated text is ever taken for markup.
"""

import re
from collections import Counter
from collections.abc import Mapping
from difflib import SequenceMatcher
from itertools import pairwise

import pandas as pd
from markupsafe import Markup, escape

from deltatune.core.text import sanitize

SHOWN = 100
"""Examples shown for an experiment: the rest is in the files beside the report."""
PREVIEW = 600
"""Characters of a text that are shown at once."""
KEPT = (4000, 2000, 1000, PREVIEW)
"""Characters of a text that are kept at all: the first of these that fits the page's budget."""
COMPARED = 400
"""Words of a text that are compared with the reference; nothing beyond is marked."""
REPEATS = 8000
"""Pairs of equal words, one of each text, above which they are compared as bags."""
TIE = 1e-9

_WORD = re.compile(r"\s+|\w+|[^\w\s]+")


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
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def words(text: str) -> list[str]:
    """Words, marks and runs of space: joined again they are the text."""
    return _WORD.findall(text)


def differing(text: str, reference: str, limit: int = COMPARED) -> list[tuple[str, bool]]:
    """Pieces of the text, each with whether it differs from the reference.

    Case and space do not count. Beyond `limit` words nothing is compared, and nothing is marked.
    """
    tokens, other = words(text), words(reference)
    ours = [(i, token.casefold()) for i, token in enumerate(tokens) if not token.isspace()][:limit]
    theirs = [token.casefold() for token in other if not token.isspace()][:limit]
    differs = [False] * len(tokens)
    for place in _differing_places([token for _, token in ours], theirs):
        differs[ours[place][0]] = True
    for (before, _), (after, _) in pairwise(ours):
        if differs[before] and differs[after]:
            differs[before:after] = [True] * (after - before)
    pieces: list[tuple[str, bool]] = []
    for token, flag in zip(tokens, differs, strict=True):
        if pieces and pieces[-1][1] == flag:
            pieces[-1] = (pieces[-1][0] + token, flag)
        else:
            pieces.append((token, flag))
    return pieces


def _differing_places(ours: list[str], theirs: list[str]) -> list[int]:
    """Places in `ours` that are no part of the longest common stretches with `theirs`.

    Where words repeat without end ("the the the …", as an untuned model writes), difflib would
    take half a second a text: then a word differs if the others do not have it at all.
    """
    counts = Counter(theirs)
    if sum(counts[token] for token in ours) > REPEATS:
        return [place for place, token in enumerate(ours) if token not in counts]
    matcher = SequenceMatcher(None, ours, theirs, autojunk=False)
    return [
        place
        for operation, start, end, _, _ in matcher.get_opcodes()
        if operation in ("replace", "delete")
        for place in range(start, end)
    ]


def markup(pieces: list[tuple[str, bool]], css: str) -> Markup:
    """Pieces as escaped markup, the differing ones in <span class=css>."""
    span = Markup('<span class="{}">{}</span>')
    return Markup("").join(
        span.format(css, text) if flag else escape(text) for text, flag in pieces
    )


def show(text, reference=None, css: str = "x", keep: int = KEPT[0]) -> Markup:
    """A text as markup: escaped, marked where it differs from the reference, folded if long.

    Past PREVIEW characters the whole stands in a <details> that says how long it is; past `keep`
    it is cut, and says so.
    """
    text = clean(text)
    if not text.strip():
        return Markup('<span class="none">(empty)</span>')
    cut = text[:keep]
    pieces = [(cut, False)] if reference is None else differing(cut, clean(reference))
    left_out = len(text) - len(cut)
    if len(cut) <= PREVIEW and not left_out:
        return markup(pieces, css)
    head, rest = split_at(pieces, preview_end(cut))
    note = Markup("")
    if left_out:
        note = Markup('<span class="cut">… {} more characters are not on this page.</span>')
        note = note.format(f"{left_out:,}")
    if not rest:
        return markup(head, css) + note
    fold = Markup('<details class="more"><summary>… show all {} characters</summary>{}{}</details>')
    return markup(head, css) + fold.format(f"{len(cut):,}", markup(rest, css), note)


def preview_end(text: str) -> int:
    """Where to fold a long text: after the last space before PREVIEW, if there is one near."""
    space = max(text.rfind(" ", 0, PREVIEW), text.rfind("\n", 0, PREVIEW))
    return space + 1 if space > PREVIEW * 0.8 else PREVIEW


def split_at(pieces: list[tuple[str, bool]], position: int) -> tuple[list, list]:
    """The pieces before and from a position, counted in characters."""
    head: list[tuple[str, bool]] = []
    rest: list[tuple[str, bool]] = []
    for text, flag in pieces:
        if position > 0:
            head.append((text[:position], flag))
        if len(text) > max(position, 0):
            rest.append((text[max(position, 0) :], flag))
        position -= len(text)
    return head, rest


def choose(frame: pd.DataFrame, higher_is_better: bool = True, limit: int = SHOWN) -> pd.DataFrame:
    """Examples sorted from the largest gain to the largest loss, at most `limit` of them.

    Adds `gain` (positive where tuning made it better). Where there are more than `limit`, a third
    each of the best, the middle and the worst is kept, so that nothing is shown by favor.
    Examples without a score come last.
    """
    sign = 1 if higher_is_better else -1
    frame = frame.assign(gain=sign * (frame["tuned_score"] - frame["base_score"]).astype(float))
    frame = frame.sort_values(["gain", "id"], ascending=[False, True], kind="stable")
    total = len(frame)
    if total <= limit:
        return frame.reset_index(drop=True)
    third = limit // 3
    middle_size = limit - 2 * third
    start = (total - middle_size) // 2
    kept = [*range(third), *range(start, start + middle_size), *range(total - third, total)]
    return frame.iloc[kept].reset_index(drop=True)


def tally(scores: pd.DataFrame, higher_is_better: bool = True) -> dict:
    """How many examples got better, worse, or stayed: counts and shares of a scores frame.

    Rows without a base or a tuned score are left out and counted as `missing`.
    """
    gains = (scores["tuned"] - scores["base"]).astype(float) * (1 if higher_is_better else -1)
    known = gains.dropna()
    counts = {
        "wins": int((known > TIE).sum()),
        "ties": int((known.abs() <= TIE).sum()),
        "losses": int((known < -TIE).sum()),
    }
    total = len(known)
    shares = {f"{name}_share": count / total if total else 0.0 for name, count in counts.items()}
    return {**counts, **shares, "total": total, "missing": len(gains) - total}


def kept_for(frames: Mapping[str, pd.DataFrame], columns: list[str], budget: int = 450_000) -> int:
    """Where to cut these frames' texts: the longest of KEPT within the budget (UTF-8 bytes)."""
    texts = [
        clean(text)
        for frame in frames.values()
        for column in columns
        if column in frame
        for text in frame[column]
    ]
    for keep in KEPT:
        if sum(len(text[:keep].encode()) for text in texts) <= budget:
            return keep
    return KEPT[-1]
