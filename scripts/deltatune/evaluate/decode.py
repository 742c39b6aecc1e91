"""Decoding on a GPU: a cache of constant size, and one step that is captured once.

A token of a small model is a few hundred short kernels, and a GPU waits for the processor to launch
each of them. A CUDA graph launches all of a step at once, which asks that each step has the same
shapes and addresses: so the cache has its whole size from the beginning, and what a step reads and
writes lies in tensors that stay, also for the next batch of the same shape. The arithmetic is that
of `generate`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import Cache, StaticCache, StaticLayer
from transformers.cache_utils import StaticSlidingWindowLayer

from deltatune.evaluate.sampling import SeededSampling
from deltatune.models import oom
from deltatune.models.architecture import frequencies_change
from deltatune.models.probes import FIRST, SECOND, ask
from deltatune.models.quantization import gptq_layers
from deltatune.models.upstream import captured
from deltatune.tasks.base import Sampling

#: Steps between two looks at whether all rows have ended. Each look waits for the GPU, and half of
#: these are steps too many.
STRIDE = 8


class Refused(Exception):
    """Steps of this model cannot be captured."""


class Decoder:
    """Continues batches of prompts: by `Steps` where that can be, else by `generate`.

    captures: whether `Steps` are tried. Not for an answer within which rotary frequencies change:
    `generate` computes all keys and values anew there. captured: batches that they continued.
    shapes: batches by "rows x width". Both give the same tokens, and which it is follows from the
    base and the prompts, so base and tuned are treated alike.
    """

    def __init__(self, model: Any, say: Callable[[str], None] = print) -> None:
        self._model, self._say = model, say
        self._steps = Steps(model)
        self.captured = 0
        self.shapes: Counter[str] = Counter()

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
        noise: SeededSampling | None = None,
    ) -> torch.Tensor:
        """The tokens behind each prompt, as `Steps` give them. noise: of sampling."""
        longest = int(mask.sum(1).max())
        changes = longest <= frequencies_change(self._model.config) < longest + max_new_tokens
        ids, mask = ids.to(self._model.device), mask.to(self._model.device)
        self.shapes["x".join(map(str, ids.shape))] += 1
        if self.captures and not changes:
            try:
                limits = {"max_new_tokens": max_new_tokens, "stops": stops, "pad": pad}
                tokens = self._steps.tokens(ids, mask, noise=noise, **limits)
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
    """Of a model or its twin: whether the tokens are those of `generate`, with padding too, and
    those of a second batch in the same tensors."""
    width, tokens, steps = len(SECOND), 6, Steps(model)
    ids = torch.tensor([[0] * (width - len(FIRST)) + FIRST, SECOND], device=model.device)
    for rows in (ids, ids.flip(0)):
        mask = (rows > 0).long()
        expected = model.generate(
            input_ids=rows,
            attention_mask=mask,
            max_new_tokens=tokens,
            do_sample=False,
            use_cache=True,
            pad_token_id=0,
            eos_token_id=None,
        )[:, width:]
        generated = steps.tokens(rows, mask, max_new_tokens=tokens, stops=[], pad=0)
        if not torch.equal(generated, expected):
            return False
    return True


class Steps:
    """Continues batches of prompts token by token, with a cache of constant size.

    The tensors of a shape and, on a GPU, its captured step are kept for the next batch.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._kept: _Decoding | None = None

    @torch.inference_mode()
    def tokens(
        self,
        ids: torch.Tensor,
        mask: torch.Tensor,
        *,
        max_new_tokens: int,
        stops: Sequence[int],
        pad: int,
        noise: SeededSampling | None = None,
    ) -> torch.Tensor:
        """The likeliest tokens one after the other: [rows, at most max_new_tokens], int64.

        ids, mask: [rows, length] with padding on the left, on the device of the model. stops:
        tokens that end a row, behind which it is filled with `pad`. noise: added to the logits of
        each step, so that the likeliest is a sample.

        On a GPU the step is captured, elsewhere it runs as it is. Raises Refused where that cannot
        be, and what running out of memory raises.
        """
        rows, width = ids.shape
        shape = _Shape(rows, width, max_new_tokens, tuple(stops), pad, noise and noise.sampling)
        # Forgotten until the batch is done: there may be no room for two of them, and what failed
        # is not used again.
        decoding, self._kept = self._kept, None
        if decoding is None or decoding.shape != shape:
            decoding = None
            decoding = _Decoding(self._model, shape)
        decoding.read(ids, mask, noise)
        done = 1
        while done < max_new_tokens and not bool(decoding.ended.all()):
            for _ in range(min(STRIDE, max_new_tokens - done)):
                decoding.next(done)
                done += 1
        self._kept = decoding
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


@dataclass(frozen=True)
class _Shape:
    """What batches have in common that share tensors and a captured step."""

    rows: int
    width: int
    max_new_tokens: int
    stops: tuple[int, ...]
    pad: int
    sampling: Sampling | None


class _Decoding:
    """What a step reads and writes, for batches of one shape."""

    def __init__(self, model: Any, shape: _Shape) -> None:
        self.shape, self._model = shape, model
        rows, length, device = shape.rows, shape.width + shape.max_new_tokens, model.device
        self._stops = torch.tensor(shape.stops, dtype=torch.long, device=device)
        self._cache = _constant_cache(model, length)
        self._mask = torch.ones(rows, length, dtype=torch.long, device=device)
        self.ended = torch.zeros(rows, dtype=torch.bool, device=device)
        self._token = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._position = torch.zeros(rows, 1, dtype=torch.long, device=device)
        self._column = torch.zeros(1, dtype=torch.long, device=device)
        self.tokens = torch.full((rows, shape.max_new_tokens), shape.pad, device=device)
        self._sampling: SeededSampling | None = None
        self._noise: torch.Tensor | None = None
        self._run: Callable[[], None] | None = None

    def read(self, ids: torch.Tensor, mask: torch.Tensor, noise: SeededSampling | None) -> None:
        """Begin with a batch: read its prompts and choose the first tokens."""
        self._sampling = noise
        self._cache.reset()
        # What is to come is hidden by its place, so the mask can have its whole width.
        self._mask[:, : self.shape.width] = mask
        self.ended.zero_()
        self._column.zero_()
        self.tokens.fill_(self.shape.pad)
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        self._position.copy_(positions[:, -1:])
        logits = self._logits(ids, positions, logits_to_keep=1)
        self._draw(0, logits)
        self._choose(logits)

    def next(self, number: int) -> None:
        """The token of that number, from 0, of each row."""
        # Not before a step is needed: capturing takes one, and there may be no room for it.
        if self._run is None:
            self._run = _captured(self) if self._token.is_cuda else self.step
        self._draw(number)
        self._run()

    def _draw(self, number: int, logits: torch.Tensor | None = None) -> None:
        """Put the noise of a token where its step finds it. logits: of the first token."""
        if self._sampling is None:
            return
        if self._noise is None:
            self._noise = torch.empty_like(logits, dtype=torch.float32)
        self._noise.copy_(self._sampling.noise(number, self._noise.shape[1]))

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
        if self._sampling is not None:
            # As `generate` gives them to its processors, in fp32.
            logits = self._sampling.warped(logits.float()) + self._noise
        token = logits.argmax(-1, keepdim=True).masked_fill(self.ended[:, None], self.shape.pad)
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
        with captured(graph):
            decoding.step()
    except RuntimeError as error:
        if oom.out_of_memory(error):
            raise
        raise Refused(str(error).strip().splitlines()[0]) from error
    for tensor, value in zip(state, before, strict=True):
        tensor.copy_(value)
    return graph.replay
