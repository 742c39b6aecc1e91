"""Forward and backward pass of a micro-batch as a CUDA graph.

A pass is some thousand short kernels, and where the model or the batch is small a GPU waits for the
processor to launch each of them. A graph launches all of a pass at once; what it reads and writes
stays at one place, so inputs are copied there, and gradients are added up there. The arithmetic is
that of the pass that was captured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from deltatune.models.upstream import captured
from deltatune.train import upstream

#: Passes before the one that is captured: libraries choose kernels and compile at the first ones.
WARM = 3

Inputs = Mapping[str, torch.Tensor]
Pass = Callable[[Inputs, torch.Tensor], torch.Tensor]
"""From a micro-batch and the supervised tokens of its step to the loss; adds to gradients."""


class CapturedPasses:
    """Passes of one shape, to be called like the one that they repeat.

    inputs, tokens: of the first of them. Nothing is left of the passes that are run to capture one:
    gradients and random numbers are as before.
    """

    def __init__(
        self,
        run: Pass,
        parameters: list[torch.nn.Parameter],
        inputs: Inputs,
        tokens: torch.Tensor,
    ) -> None:
        self._parameters, self._tokens = parameters, tokens.clone()
        self._inputs = {name: value.clone() for name, value in inputs.items()}
        self._gradients = [torch.zeros_like(parameter) for parameter in parameters]
        before = self._place()

        def compute() -> None:
            self._loss = run(self._inputs, self._tokens)

        try:
            self._replay = repeated(compute)
        finally:
            for parameter, gradient in zip(parameters, before, strict=True):
                parameter.grad = gradient

    def __call__(self, inputs: Inputs, tokens: torch.Tensor) -> torch.Tensor:
        """The loss of a micro-batch of the same shapes; its gradients are added to those before."""
        added = None
        if self._parameters[0].grad is not self._gradients[0]:
            added = self._place()
        for name, value in inputs.items():
            self._inputs[name].copy_(value, non_blocking=True)
        self._tokens.copy_(tokens, non_blocking=True)
        self._replay()
        if added and added[0] is not None:
            torch._foreach_add_(self._gradients, added)
        return self._loss.clone()

    def _place(self) -> list[torch.Tensor | None]:
        """Let gradients be added up where they stay, from 0 on; the ones before."""
        before = [parameter.grad for parameter in self._parameters]
        torch._foreach_zero_(self._gradients)
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return before


def repeated(run: Callable[[], None]) -> Callable[[], None]:
    """What a function does on the GPU, as a graph. Raises what cannot be captured raises, and then
    all memory is free again that nothing else has."""
    graph = torch.cuda.CUDAGraph()
    with upstream.random_numbers_kept(), upstream.masks_of_a_capture():
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM):
                run()
        torch.cuda.current_stream().wait_stream(aside)
        # A graph has memory of its own; what these passes took would lie idle.
        torch.cuda.empty_cache()
        # In the same stream, in which gradients are added up since the first pass.
        with captured(graph, aside):
            run()
    return graph.replay
