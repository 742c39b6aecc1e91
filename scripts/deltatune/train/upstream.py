"""Private parts of transformers, torch and bitsandbytes, and workarounds for them.

Each says what the library does and in which version that was seen. A test in
tests/unit/test_train_upstream.py or tests/gptq/test_gptq.py fails when it can go.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import model_has_dtensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler
from transformers import Trainer, TrainingArguments, masking_utils

from deltatune.train import distributed

# ---------------------------------------------------------------- transformers


class HookedTrainer(Trainer):
    """A Trainer whose private steps are public methods, for a subclass to define.

    transformers 5.23 has no public way to give the order of the rows, nor to write and to read
    checkpoints of another form.
    """

    def train_sampler(self) -> Sampler[int]:
        """The order of the training rows."""
        raise NotImplementedError

    def write_checkpoint(self) -> None:
        """Called when a callback has set `control.should_save`."""
        raise NotImplementedError

    def restore_parameters(self) -> None:
        """Like the methods below, called where training resumes from a checkpoint."""
        raise NotImplementedError

    def restore_optimizer(self) -> None:
        """And the learning rate's schedule."""
        raise NotImplementedError

    def restore_scaler(self) -> None:
        """The gradient scaler, which only fp16 has."""
        raise NotImplementedError

    def restore_random_state(self) -> None:
        raise NotImplementedError

    def _get_train_sampler(self, train_dataset=None) -> Sampler[int]:
        return self.train_sampler()

    def _save_checkpoint(self, model, trial) -> None:
        self.write_checkpoint()

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model=None) -> None:
        self.restore_parameters()

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.restore_optimizer()

    def _load_scaler(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.restore_scaler()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            self.restore_random_state()

    def _wrap_model(self, model, *arguments, **keywords):
        """On GPUs, accelerate 1.15 refuses to wrap a model with sharded parameters in DDP, though
        these are frozen and DDP is told to ignore them. It still sets the precision."""
        sharded = distributed.world_size() > 1 and model is self.model and model_has_dtensor(model)
        if not sharded:
            return super()._wrap_model(model, *arguments, **keywords)
        model = self.accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        on_gpu = self.args.device.type == "cuda"
        device_ids = [self.args.device.index] if on_gpu else None
        return DistributedDataParallel(model, device_ids=device_ids)


def use_one_gpu(arguments: TrainingArguments) -> None:
    """transformers 5.23 takes every GPU that it sees, with so many times the rows of a step."""
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1


@contextmanager
def masks_of_a_capture() -> Iterator[None]:
    """Within it, a model makes the masks that it makes while a graph is captured.

    transformers 5.23 leaves the mask out where a row is one document, which it can look at only
    outside of a capture; what is compiled before must be what is captured.
    """
    original = masking_utils.is_tracing
    masking_utils.is_tracing = lambda tensor=None: True
    try:
        yield
    finally:
        masking_utils.is_tracing = original


# ---------------------------------------------------------------- torch


def compile_in_place(module: torch.nn.Module, backend: Any) -> None:
    """Compile a module's calls for constant shapes; names of its parameters stay.

    torch 2.13 counts the variants of all modules of a class as those of one function, and runs what
    comes after the eighth as it is written. Blocks of two kinds, the first block (whose input has
    no gradient) and rows of one document (which have no mask) are eight already.
    """
    torch.compiler.config.recompile_limit = 64
    module.compile(backend=backend, dynamic=False)


def compile_below_checkpoint(block: torch.nn.Module, backend: Any) -> None:
    """Compile what the checkpointing of a block of transformers computes, twice.

    In transformers 5.23 a block's `forward` calls its checkpointing, which a block that is compiled
    in place has within it; torch 2.11 then keeps the results of operators of other packages for the
    backward pass (`step.Computed.recomputed`).
    """
    torch.compiler.config.recompile_limit = 64
    compiled = torch.compile(_call, backend=backend, dynamic=False)
    checkpoint = block._gradient_checkpointing_func
    block._gradient_checkpointing_func = lambda run, *inputs: checkpoint(
        functools.partial(compiled, run), *inputs
    )


def _call(run: Callable[..., Any], *inputs: Any) -> Any:
    return run(*inputs)


def compiles() -> bool:
    """Whether torch.compile compiles in this process: with these variables, torch 2.13 runs what it
    is given as it is written, and says nothing."""
    switches = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE")
    return all(os.environ.get(name) != "1" for name in switches)


def forget_compiled(module: torch.nn.Module) -> None:
    """Undo `Module.compile`, for which torch 2.13 has nothing."""
    module._compiled_call_impl = None


def is_of_compiler(error: Exception) -> bool:
    """Whether an error is one of torch.compile; torch 2.13 has no public class of them."""
    from torch._dynamo.exc import TorchDynamoException

    return isinstance(error, TorchDynamoException)


@contextmanager
def random_numbers_kept() -> Iterator[None]:
    """After it, the random numbers of the GPU are as before, whether a capture in it failed or not.

    torch 2.13 takes the generator to be in a capture for ever when one ends by an error, and
    refuses to draw.
    """
    state = torch.cuda.get_rng_state()
    try:
        yield
    except BaseException:
        number = torch.cuda.current_device()
        fresh = torch.Generator(f"cuda:{number}")
        fresh.set_state(state)
        torch.cuda.default_generators[number].graphsafe_set_state(fresh.graphsafe_get_state())
        raise
    torch.cuda.set_rng_state(state)


#: The type that FSDP moves packed 4-bit weights in. Not bf16: torch 2.11 copies that on a GPU by
#: way of fp32, which makes all NaNs one. On an H200 that changed 0.04% of a Mistral-7B's weights,
#: by up to three standard deviations each.
PACKED_DTYPE = torch.float32


def ignore_in_ddp(model: Any, names: Iterable[str]) -> None:
    """Let DDP leave parameters and buffers alone.

    torch 2.13 broadcasts all of them from the first process, the frozen base too, which every
    process has loaded.
    """
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(model, list(names))


# ---------------------------------------------------------------- bitsandbytes


@contextmanager
def quantized_on(device: str) -> Iterator[None]:
    """Within it, 4-bit weights are quantized on a device, whichever one they are loaded to.

    A base for sharding is loaded to main memory, where bitsandbytes 0.50 takes minutes to quantize
    each billion weights; and it is to be the base that a single GPU would have.
    """
    from bitsandbytes.nn import Params4bit

    original = Params4bit._quantize

    def quantize(self, target):
        original(self, device)
        self.data = self.data.to(target)
        self.quant_state.to(target)
        return self

    Params4bit._quantize = quantize
    try:
        yield
    finally:
        Params4bit._quantize = original


def needs_reentrant_checkpointing(model: Any) -> bool:
    """Whether layers save their inputs where autograd does not see it: 8-bit ones of bitsandbytes
    0.50.

    Only reentrant checkpointing, whose forward pass has no gradients, keeps them from it. With the
    other kind, an H200 took 34.8 GB instead of 13.3 for a Mistral-7B.
    """
    return bool(getattr(model.get_base_model(), "is_loaded_in_8bit", False))
