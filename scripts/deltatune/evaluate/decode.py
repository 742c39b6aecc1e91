"""Greedy decoding on a GPU: a cache of constant size, and one step that is captured once.

A token of a small model is a few hundred short kernels, and a GPU waits for the processor to launch
each of them. A CUDA graph launches all of a step at once, which asks that each step has the same
shapes and addresses: so the cache has its whole size from the beginning, and what a step reads and
writes lies in tensors that stay. The arithmetic is that of `generate`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from transformers import Cache, LogitsProcessor, StaticCache, StaticLayer
from transformers.cache_utils import StaticSlidingWindowLayer

from deltatune.models import oom
from deltatune.models.probes import FIRST, SECOND, ask
from deltatune.models.quantization import gptq_layers

#: Steps between two looks at whether all rows have ended. Each look waits for the GPU.
STRIDE = 16


class Refused(Exception):
    """Steps of this model cannot be captured."""


class Decoder:
    """Continues batches of prompts: by `greedy` where that can be, else by `generate`.

    captures: whether `greedy` is tried. captured: batches that it continued, for the manifest. Both
    give the same tokens, and which it is follows from the base and the prompts, so base and tuned
    are treated alike.
    """

    def __init__(self, model: Any, say: Callable[[str], None] = print) -> None:
        self._model, self._say = model, say
        self.captured = 0

    @cached_property
    def captures(self) -> bool:
        # int8 and GPTQ wait for the processor within a layer.
        waits = getattr(self._model, "is_loaded_in_8bit", False) or bool(gptq_layers(self._model))
        on_gpu = self._model.device.type == "cuda"
        return on_gpu and not waits and ask(self._model, answers_with_constant_cache)

    def tokens(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        *,
        max_new_tokens: int,
        stops: Sequence[int],
        pad: int,
        noise: LogitsProcessor | None = None,
    ) -> torch.Tensor:
        """The tokens behind each prompt, as `greedy` gives them. noise: of sampling."""
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        if self.captures and noise is None:
            try:
                shape = {"max_new_tokens": max_new_tokens, "stops": stops, "pad": pad}
                tokens = greedy(self._model, ids, mask, **shape)
                self.captured += 1
                return tokens
            except Refused as error:
                self._say(f"each step of {type(self._model).__name__} is launched: {error}")
        return self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=max_new_tokens,
            do_sample=False,
            logits_processor=[noise] if noise else None,
            num_beams=1,
            use_cache=True,
            pad_token_id=pad,
            eos_token_id=list(stops),
        )[:, ids.shape[1] :]


def answers_with_constant_cache(model: Any) -> bool:
    """Of a model or its twin: whether the tokens are those of `generate`, with padding too."""
    width, tokens = len(SECOND), 6
    ids = torch.tensor([[0] * (width - len(FIRST)) + FIRST, SECOND], device=model.device)
    mask = (ids > 0).long()
    expected = model.generate(
        input_ids=ids,
        attention_mask=mask,
        max_new_tokens=tokens,
        do_sample=False,
        use_cache=True,
        pad_token_id=0,
        eos_token_id=None,
    )[:, width:]
    return torch.equal(greedy(model, ids, mask, max_new_tokens=tokens, stops=[], pad=0), expected)


@torch.inference_mode()
def greedy(
    model: Any,
    ids: torch.Tensor,
    mask: torch.Tensor,
    *,
    max_new_tokens: int,
    stops: Sequence[int],
    pad: int,
) -> torch.Tensor:
    """The likeliest tokens one after the other: [rows, at most max_new_tokens], int64.

    ids, mask: [rows, length] with padding on the left, on the device of the model. stops: tokens
    that end a row, behind which it is filled with `pad`.

    On a GPU the step is captured, elsewhere it runs as it is. Raises Refused where that cannot be,
    and what running out of memory raises.
    """
    decoding = _Decoding(model, ids, mask, max_new_tokens, stops, pad)
    done, run = 1, None
    while done < max_new_tokens and not bool(decoding.ended.all()):
        # Not before a step is needed: capturing takes one, and there may be no room for it.
        run = run or (_captured(decoding) if ids.is_cuda else decoding.step)
        for _ in range(min(STRIDE, max_new_tokens - done)):
            run()
            done += 1
    return decoding.tokens[:, :done].clone()


def _constant_cache(model: Any, length: int) -> Cache:
    """Keys and values of so many tokens in tensors that stay. Raises Refused for an architecture
    that keeps more than these, or forgets some of the tokens."""
    cache = StaticCache(config=model.config.get_text_config(), max_cache_len=length)
    for layer in cache.layers:
        # A window that all tokens fit into is none.
        known = type(layer) in (StaticLayer, StaticSlidingWindowLayer)
        if not known or layer.max_cache_len < length:
            raise Refused("its cache has no constant size")
    return Cache(layers=[StaticLayer(max_cache_len=length) for _ in cache.layers])


class _Decoding:
    """What a step reads and writes; the prompt has been read and the first token chosen."""

    def __init__(
        self,
        model: Any,
        ids: torch.Tensor,
        mask: torch.Tensor,
        max_new_tokens: int,
        stops: Sequence[int],
        pad: int,
    ) -> None:
        rows, width = ids.shape
        self._model, self._pad = model, pad
        self._stops = torch.tensor(stops, dtype=torch.long, device=ids.device)
        self._cache = _constant_cache(model, width + max_new_tokens)
        # What is to come is hidden by its place, so the mask can have its whole width.
        self._mask = torch.nn.functional.pad(mask, (0, max_new_tokens), value=1)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        logits = self._logits(ids, positions, logits_to_keep=1)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=ids.device)
        self._token = torch.zeros(rows, 1, dtype=torch.long, device=ids.device)
        self._position = positions[:, -1:].clone()
        self._column = torch.zeros(1, dtype=torch.long, device=ids.device)
        self.tokens = torch.full((rows, max_new_tokens), pad, device=ids.device)
        self._choose(logits)

    def _logits(self, ids: torch.Tensor, positions: torch.Tensor, **more: Any) -> torch.Tensor:
        """Of the last token of each row."""
        return self._model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
            **more,
        ).logits[:, -1]

    def _choose(self, logits: torch.Tensor) -> None:
        token = logits.argmax(-1, keepdim=True).masked_fill(self.ended[:, None], self._pad)
        self.tokens.index_copy_(1, self._column, token)
        self._column.add_(1)
        self._token.copy_(token)
        self._position.add_(1)
        self.ended.logical_or_(torch.isin(token[:, 0], self._stops))

    def step(self) -> None:
        self._choose(self._logits(self._token, self._position))

    def state(self) -> list[torch.Tensor]:
        """All that a step changes, but for the keys and values: it writes the same ones again."""
        lengths = [layer.cumulative_length for layer in self._cache.layers]
        return [*lengths, self.ended, self._token, self._position, self._column, self.tokens]


def _captured(decoding: _Decoding) -> Callable[[], None]:
    """The step as a graph. What libraries do at their first call must happen before, so a step is
    run and taken back."""
    state = decoding.state()
    before = [tensor.clone() for tensor in state]
    graph = torch.cuda.CUDAGraph()
    try:
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            decoding.step()
        torch.cuda.current_stream().wait_stream(aside)
        with torch.cuda.graph(graph):
            decoding.step()
    except RuntimeError as error:
        if oom.out_of_memory(error):
            raise
        raise Refused(str(error).strip().splitlines()[0]) from error
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    return graph.replay
