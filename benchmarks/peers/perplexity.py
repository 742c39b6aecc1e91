"""Perplexity of a novel by this project, and by the loop of the Hugging Face documentation.

https://huggingface.co/docs/transformers/perplexity: a window at a time, with labels for the tokens
that are scored. Both read the same windows.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from deltatune.evaluate import likelihood
from deltatune.evaluate.likelihood import Window

from peers import base
from peers.watch import timed_warm


def here(model: Any, tokenizer: Any, windows: list[Window]) -> tuple[float, int]:
    """(negative log-likelihood in nats, scored tokens)."""
    quiet = {"batch_size": "auto", "progress": lambda text: None}
    nlls = likelihood.score_windows(model, tokenizer, windows, **quiet)
    return float(nlls.sum()), sum(window.scored for window in windows)


@torch.inference_mode()
def there(model: Any, windows: list[Window]) -> tuple[float, int]:
    """The same by the documentation's loop."""
    total = torch.tensor(0.0, device=model.device, dtype=torch.float64)
    scored = 0
    for window in windows:
        ids = torch.tensor([window.ids], device=model.device)
        targets = ids.clone()
        targets[:, : -window.scored] = -100
        loss = model(ids, labels=targets).loss
        count = min(window.scored, len(window.ids) - 1)
        total += loss.double() * count
        scored += count
    return float(total), scored


def main() -> None:
    asked = base.spec()
    model, tokenizer = base.load(asked)
    text = Path(asked["novel"]).read_text(encoding="utf-8")[: asked["characters"]]
    windows = likelihood.windows(text, tokenizer, asked["context"])
    results, versions = base.results(asked, [])
    (nll, tokens), cost = timed_warm(lambda: there(model, windows))
    peer = figures(nll, tokens, cost) | {"versions": versions}
    base.fuse_norms(model)
    (nll, tokens), cost = timed_warm(lambda: here(model, tokenizer, windows))
    results.add("here", figures(nll, tokens, cost) | {"versions": versions})
    results.add("documentation's loop", peer)


def figures(nll: float, tokens: int, cost: dict[str, Any]) -> dict[str, Any]:
    per_second = round(tokens / cost["seconds"], 1)
    perplexity = math.exp(nll / tokens)
    return cost | {"tokens_per_second": per_second, "tokens": tokens, "perplexity": perplexity}


if __name__ == "__main__":
    main()
