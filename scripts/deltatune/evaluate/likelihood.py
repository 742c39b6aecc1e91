"""Log-likelihoods of running text under a system."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import cross_entropy

from deltatune.core.errors import UserError
from deltatune.core.terminal import Terminal
from deltatune.evaluate import outputs
from deltatune.evaluate.batches import (
    Batch,
    BatchRule,
    batch_rule,
    forward_bytes,
    logits_bytes,
)
from deltatune.evaluate.likelihood_settings import Scheme, TextSettings
from deltatune.evaluate.outputs import Outputs
from deltatune.evaluate.scoring_batches import padding_share, scoring_batches
from deltatune.models.architecture import context_length
from deltatune.models.logits import AT_ONCE, last_logits
from deltatune.tasks.base import BatchSize, Passage
from deltatune.tokens.ids import bos_ids, pad_id, prefix_id

#: Windows of a batch of `auto` without a GPU.
WINDOWS_ON_CPU = 8


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


def score_windows(
    model,
    tokenizer,
    parts: list[Window],
    *,
    batch_size: BatchSize,
    progress: Callable[[str], None] = print,
) -> np.ndarray:
    """Negative log-likelihood of the scored tokens of each window: float64 [windows], nats."""
    rule = _batch_rule(model, parts, batch_size)
    return _score(model, parts, _batches(model, parts, rule), pad_id(tokenizer), progress)


def _batch_rule(model, parts: Sequence[Window], batch_size: BatchSize) -> BatchRule:
    """batch_size: `evaluation.batch_size` of the task."""
    token = forward_bytes(model.config) + logits_bytes(model.config)
    return batch_rule(
        batch_size,
        lambda: _widths(parts),
        lambda width: token * width,
        on_gpu=model.device.type == "cuda",
        on_cpu=WINDOWS_ON_CPU,
    )


def _widths(parts: Sequence[Window]) -> list[int]:
    """Tokens of each window that are read: nothing is predicted from the last one."""
    return [len(part.ids) - 1 for part in parts]


def _batches(model, parts: Sequence[Window], rule: BatchRule) -> list[Batch]:
    """Windows that are scored in one pass."""
    return scoring_batches(_widths(parts), rule, model.config, context_length(model))


@torch.inference_mode()
def _score(
    model,
    parts: Sequence[Window],
    batches: list[Batch],
    pad: int,
    progress: Callable[[str], None],
) -> np.ndarray:
    order, totals = [], []
    for batch in batches:
        some = [parts[i] for i in batch.indices]
        totals.append(_negative_log_likelihoods(model, some, batch.width, pad))
        order += batch.indices
        progress(f"{len(order)}/{len(parts)} windows")
    # One transfer from a GPU, which would wait for the processor after each batch.
    return torch.cat(totals)[np.argsort(order)].cpu().numpy()


def _negative_log_likelihoods(model, parts: list[Window], width: int, pad: int) -> torch.Tensor:
    """float64 [windows] of one forward pass, on the device of the model. width: of what it reads,
    see `_widths`."""
    # Padding on the right, where causal attention does not reach it.
    ids = torch.tensor([part.ids + [pad] * (width + 1 - len(part.ids)) for part in parts])
    ids = ids.to(model.device)
    # No logits are needed before the scored ones.
    before = min(len(part.ids) - part.scored for part in parts) - 1
    logits = last_logits(model, width - before, input_ids=ids[:, :-1])
    size = max(1, AT_ONCE // logits.shape[-1])
    totals = []
    for row, part in enumerate(parts):
        start, stop = len(part.ids) - part.scored, len(part.ids)
        predicted = logits[row, start - 1 - before : stop - 1 - before].split(size)
        targets = ids[row, start:stop].split(size)
        # In float64, so many tokens at a time: what rounding adds to each adds up over a text.
        nlls = [
            cross_entropy(some.double(), target, reduction="sum")
            for some, target in zip(predicted, targets, strict=True)
        ]
        totals.append(torch.stack(nlls).sum())
    return torch.stack(totals)


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
    rule, pad = _batch_rule(model, scored, settings.batch_size), pad_id(tokenizer)

    def run(batch_size: int) -> tuple[np.ndarray, float]:
        batches = _batches(model, scored, rule._replace(batch_size=batch_size))
        nll = _score(model, scored, batches, pad, terminal.progress)
        return nll, padding_share(batches, _widths(scored))

    (nll, padding), batch_size = outputs.compute(run, rule.batch_size, settings, terminal.say)
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
        "batch_size_from": rule.source,
        "padding_share": padding,
        "windows": len(table),
        "texts": len(cut),
        "unscored_texts": unscored,
        "tokens": int(table["tokens"].sum()),
        "bytes": int(table["bytes"].sum()),
    }
    return Outputs(table, figures)
