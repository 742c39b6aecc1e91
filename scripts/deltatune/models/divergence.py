"""How far the predictions of one model are from those of another."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch


@torch.inference_mode()
def log_probabilities(model: Any, pieces: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
    """Of the next token at every place of each piece but its last: float32 [places, vocabulary],
    on the device of the model, one piece at a time."""
    for ids in pieces:
        row = torch.from_numpy(ids.astype(np.int64))[None].to(model.device)
        yield model(input_ids=row, use_cache=False).logits[0, :-1].float().log_softmax(-1)


def divergence(
    reference: Sequence[torch.Tensor],
    model: Any,
    pieces: Sequence[np.ndarray],
    progress: Callable[[str], None] = print,
) -> dict[str, Any]:
    """KL(reference || model) in nats at each token, over the whole vocabulary.

    reference: log-probabilities of another model, of the same pieces; what is computed of them is
    computed where they are. Returns their mean and
    maximum, the number of tokens, and the share of them whose likeliest token is the same.
    """
    divergences, same = [], []
    for number, (p, q) in enumerate(
        zip(reference, log_probabilities(model, pieces), strict=True), start=1
    ):
        # Normalized anew, or the rounding of fp32 would make small divergences negative.
        p, q = p.double().log_softmax(-1), q.to(p.device).double().log_softmax(-1)
        # A token of probability 0 under both would give 0 * (inf - inf).
        terms = torch.where(p.isneginf(), 0.0, p.exp() * (p - q))
        divergences.append(terms.sum(-1))
        same.append(p.argmax(-1) == q.argmax(-1))
        progress(f"compared {number}/{len(pieces)} texts")
    nats = torch.cat(divergences)
    return {
        "kl_mean": float(nats.mean()),
        "kl_max": float(nats.max()),
        "tokens": len(nats),
        "same_argmax": float(torch.cat(same).double().mean()),
    }
