"""Texts that models wrote, as markup: escaped, compared word by word, cut to size.

Everything that reaches the page as markup is built here with markupsafe, piece by piece, so that
no character of a generated text is ever taken for markup.
"""

import re
from collections import Counter
from difflib import SequenceMatcher
from itertools import islice, pairwise

from markupsafe import Markup, escape

from deltatune.report.text import brief, clean

PREVIEW = 600
"""Characters of a text that are shown at once."""
COMPARED = 400
"""Words of a text that are compared with the reference; nothing beyond is highlighted."""
REPEATS = 8000
"""Pairs of equal words, one of each text, above which they are compared as bags."""
_WORD = re.compile(r"\s+|\w+|[^\w\s]+")


def words(text: str) -> list[str]:
    """Words, punctuation and runs of space: joined again they are the text."""
    return _WORD.findall(text)


def code(text: str) -> Markup:
    """A sentence of the project, what stands between backticks as code."""
    parts = (escape(part) for part in brief(text).split("`"))
    made = (Markup("<code>{}</code>").format(one) if n % 2 else one for n, one in enumerate(parts))
    return Markup("").join(made)


def differing(text: str, reference: str, limit: int = COMPARED) -> list[tuple[str, bool]]:
    """Pieces of the text, each with whether it differs from the reference.

    Case and space do not count. Beyond `limit` words nothing is compared, and nothing differs.
    """
    tokens = words(text)
    # Of a reference of megabytes no more is looked at than is compared.
    other = (match.group() for match in _WORD.finditer(reference))
    ours = [(i, token.casefold()) for i, token in enumerate(tokens) if not token.isspace()][:limit]
    theirs = [
        token.casefold() for token in islice((one for one in other if not one.isspace()), limit)
    ]
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
    take half a second for each text: then a word differs if the other text does not have it at all.
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


def show(text, reference=None, css: str = "x", limit: int = 4000) -> Markup:
    """A text as markup: escaped, highlighted where it differs from the reference, folded if long.

    What follows PREVIEW characters is in a <details>, with the number of all characters; what
    follows `limit` is left out, with the number of characters.
    """
    text = clean(text)
    if not text.strip():
        return Markup('<span class="none">(empty)</span>')
    cut = text[:limit]
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
    """Where to fold a long text: after the last space before PREVIEW, if it is near."""
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
