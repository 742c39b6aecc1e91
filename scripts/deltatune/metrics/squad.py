"""The normalization of answers that SQuAD's own scorer uses, shared by the metrics built on it.

Source: Rajpurkar et al. 2018, "Know What You Don't Know: Unanswerable Questions for SQuAD", and
its evaluation script for version 2.0.
"""

import re
import string

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalize(text: str) -> str:
    """Lower the case, drop ASCII punctuation, then English articles, then spare white space.

    The order matters: "a-b" becomes "ab" and keeps its a, as in the original.
    """
    without_punctuation = text.lower().translate(_NO_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", without_punctuation).split())
