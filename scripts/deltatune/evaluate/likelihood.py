"""Log-likelihoods of running text under a system."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import outputs
from deltatune.evaluate.batches import batches_by_length
from deltatune.evaluate.likelihood_settings import Scheme, TextSettings
from deltatune.evaluate.outputs import Outputs
from deltatune.tasks.base import Passage
from deltatune.tokens.ids import bos_ids, pad_id, prefix_id


@dataclass(frozen=True)
class Window:
    """Tokens of a text, the last of which are scored.

    ids: all tokens, bos included. scored: how many at the end are scored. text: the scored part of
    the original text. words, bytes: of that part.
    """

    ids: list[int]
    scored: int
    text: str
    words: int
    bytes: int


def windows(text: str, tokenizer, context: int, scheme: Scheme = "sliding") -> list[Window]:
    """Windows over a text, each the input of one forward pass; every token is scored once.

    scheme "sliding": the stride is half the context, so that each scored token but the first ones
    has at least that much before it. bos stands first in every window, no eos is added. Where
    the tokenizer puts no bos the first token has nothing before it and is not scored, as it is not
    learned; a text of that token alone has no window, which the caller counts.

    scheme "lm_eval": as lm-evaluation-harness computes a rolling log-likelihood (its
    `get_rolling_token_windows` with context_len 1, then `make_disjoint_window`). bos stands before
    the text alone, or what stands for it, see `prefix_id`. `context` tokens are scored in each
    window, the first of them after one token; the last window scores what remains and reads all of
    the context before it.

    The scored parts add up to the text, byte for byte.
    """
    encoded = tokenizer(
        text,
        add_special_tokens=False,
        split_special_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    ids, offsets = encoded["input_ids"], [start for start, _ in encoded["offset_mapping"]]
    if not ids:
        return []
    layout = _sliding if scheme == "sliding" else _rolling
    parts = []
    for start, stop, window in layout(ids, tokenizer, context):
        begin = offsets[start] if start else 0
        end = offsets[stop] if stop < len(ids) else len(text)
        part = text[begin:end]
        # A word belongs to the part that it begins in.
        words = len(part.split())
        if part and begin and not part[0].isspace() and not text[begin - 1].isspace():
            words -= 1
        parts.append(
            Window(
                ids=window,
                scored=stop - start,
                text=part,
                words=words,
                bytes=len(part.encode("utf-8")),
            )
        )
    return parts


def _sliding(ids: list[int], tokenizer, context: int) -> Iterator[tuple[int, int, list[int]]]:
    """(start, stop, window): ids[start:stop] are scored, the last ones of the window."""
    bos = bos_ids(tokenizer)
    size = context - len(bos)
    # Without a bos the first token has nothing before it and cannot be scored.
    edges = [0 if bos else 1, *range(size, len(ids), max(1, context // 2)), len(ids)]
    for start, stop in itertools.pairwise(edges):
        if start < stop:
            yield start, stop, bos + ids[max(0, stop - size) : stop]


def _rolling(ids: list[int], tokenizer, context: int) -> Iterator[tuple[int, int, list[int]]]:
    """The same as in lm-evaluation-harness: a window has context + 1 tokens, the last of which is
    only predicted."""
    row = [prefix_id(tokenizer), *ids]
    for start in range(0, len(ids), context):
        stop = min(start + context, len(ids))
        yield start, stop, row[max(0, stop - context) : stop + 1]


@torch.inference_mode()
def score_windows(
    model,
    tokenizer,
    parts: list[Window],
    *,
    batch_size: int,
    progress: Callable[[str], None] = print,
) -> np.ndarray:
    """Negative log-likelihood of the scored tokens of each window: float64 [windows], nats."""
    pad = pad_id(tokenizer)
    totals = np.zeros(len(parts))
    done = 0
    for batch in batches_by_length([len(part.ids) for part in parts], batch_size):
        width = max(len(parts[i].ids) for i in batch)
        # Padding on the right, where causal attention does not reach it.
        ids = torch.tensor([parts[i].ids + [pad] * (width - len(parts[i].ids)) for i in batch])
        # Nothing is predicted from the last token.
        inputs = ids[:, :-1].to(model.device)
        logits = model(input_ids=inputs, use_cache=False).logits
        for row, i in enumerate(batch):
            stop = len(parts[i].ids)
            start = stop - parts[i].scored
            target = ids[row, start:stop].to(logits.device)
            # A row at a time in float64: what rounding adds to each token adds up over a text.
            predicted = logits[row, start - 1 : stop - 1].double()
            nll = torch.nn.functional.cross_entropy(predicted, target, reduction="sum")
            totals[i] = nll.item()
        done += len(batch)
        progress(f"{done}/{len(parts)} windows")
    return totals


def evaluate(
    model,
    tokenizer,
    passages: Sequence[Passage],
    settings: TextSettings,
    split: str,
    terminal: Terminal,
) -> Outputs:
    """id, cluster, cluster_unit, source_start, source_end, text, nll, tokens, words and bytes of
    each window of the passages of a split; text: the part that is scored. Raises UserError where
    they have none."""
    where = f"tasks.{settings.task}"
    cut = [windows(one.text, tokenizer, settings.context, settings.windows) for one in passages]
    parts = [(one, window) for one, own in zip(passages, cut, strict=True) for window in own]
    if not parts:
        raise UserError(
            f"{where}: no text of the {split} split has a token that can be scored; give more text."
        )
    if unscored := sum(not own for own in cut):
        terminal.say(
            f"{where}: {unscored} of {len(cut)} texts of the {split} split have one token, which "
            "has no context, and are not scored"
        )
    scored = [window for _, window in parts]
    nll, batch_size = outputs.compute(
        lambda batch_size: score_windows(
            model, tokenizer, scored, batch_size=batch_size, progress=terminal.progress
        ),
        settings.batch_size,
        settings,
        terminal.say,
    )
    table = pd.DataFrame(
        {
            "id": range(1, len(parts) + 1),
            "cluster": [passage.cluster for passage, _ in parts],
            "cluster_unit": [passage.cluster_unit for passage, _ in parts],
            "source_start": pd.array([passage.start for passage, _ in parts], dtype="Int64"),
            "source_end": pd.array([passage.end for passage, _ in parts], dtype="Int64"),
            "text": [window.text for window in scored],
            "nll": nll,
            "tokens": [window.scored for window in scored],
            "words": [window.words for window in scored],
            "bytes": [window.bytes for window in scored],
        }
    )
    figures = {
        "batch_size_used": batch_size,
        "windows": len(table),
        "texts": len(cut),
        "unscored_texts": unscored,
        "tokens": int(table["tokens"].sum()),
        "bytes": int(table["bytes"].sum()),
    }
    return Outputs(table, figures)
