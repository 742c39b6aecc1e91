"""The memory that a training run takes, estimated without weights.

The activations are measured on fake tensors (`models.activations`); the rest is arithmetic, read
off the source of peft and bitsandbytes. With V the size of the vocabulary, the loss takes 12 V for
each token: in the backward pass there are, in fp32, the log-probabilities, their gradient, and the
gradient of the logits (4 bytes each). In the forward pass there were 10 V before it: logits in half
precision (2), in fp32 (4), log-probabilities (4). In fp32 it is 12 V as well.

Under a quantization the backward pass of a block holds the largest weight dequantized. Loss and
blocks follow one another: the larger moment is the peak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deltatune.models.activations import Activations, Way, measure
from deltatune.models.batch import Batch
from deltatune.models.blocks import products
from deltatune.models.dimensions import ModelDimensions

# Bytes of one weight of a quantized linear layer; of GPTQ see `group_bytes`.
BYTES = {
    # 4 bits; an absolute maximum for every 64, stored in 8 bits; a factor in fp32 for every 256 of
    # those (Dettmers et al. 2023, section 3: 0.127 bits of constants).
    "nf4": 0.5 + 1 / 64 + 4 / (64 * 256),
    # LLM.int8: a byte, and a factor in fp32 for each row, which is next to nothing.
    "int8": 1.0,
}
FP32 = 4


def group_bytes(bits: int, group: int) -> float:
    """Bytes of a GPTQ weight: its bits, and for each group a scale in fp16 and a zero point.

    group: weights of a row that share them, or -1 for the whole row.
    """
    return bits / 8 + ((2 + bits / 8) / group if group > 0 else 0)


# What the process takes before the first tensor: CUDA's context with its kernels and the work space
# of cuBLAS, or Python with its libraries. A rule of thumb.
CONTEXT = {True: 500_000_000, False: 700_000_000}
# What the allocator cannot use of what it reserves, as a share of activations and logits.
FRAGMENTATION = 0.08


@dataclass(frozen=True)
class Setup:
    """How a model is trained."""

    quantization: str
    optimizer: str
    batch: Batch
    row_length: int
    """Tokens of a packed row."""
    checkpointing: bool
    on_gpu: bool
    half: bool
    """Whether it computes in bf16 or fp16 rather than in fp32."""
    gptq: tuple[int, int] = (4, 128)
    """Bits and group size, where the quantization is gptq."""
    compiled: bool = False
    """Whether transformer blocks are."""
    keeps_products: bool = False
    """Whether compiled blocks keep `blocks.products` beside activation checkpointing."""

    @property
    def compute_bytes(self) -> int:
        return 2 if self.half else FP32

    @property
    def linear_bytes(self) -> float:
        """Bytes of a weight of a quantized layer."""
        if self.quantization == "gptq":
            return group_bytes(*self.gptq)
        return BYTES.get(self.quantization, self.compute_bytes)


@dataclass(frozen=True)
class Memory:
    """Bytes at the peak, by part."""

    weights: int
    adapters: int
    """Weights and gradients of what is trained, in fp32."""
    optimizer: int
    activations: int
    logits: int
    """What the loss takes; 0 where the peak is in a block, whose share is in activations."""
    overhead: int
    """Context and fragmentation: not among what torch.cuda.max_memory_allocated counts."""
    paged: bool = False
    """Whether the optimizer is, whose state bitsandbytes allocates by itself."""

    @property
    def allocated(self) -> int:
        """What torch.cuda.max_memory_allocated should show."""
        return self.total - self.overhead - self.optimizer * self.paged

    @property
    def total(self) -> int:
        return (
            self.weights
            + self.adapters
            + self.optimizer
            + self.activations
            + self.logits
            + self.overhead
        )


def measured(dimensions: ModelDimensions, setup: Setup) -> Activations:
    """Bytes for the backward pass, of any number of rows."""
    return measure(
        dimensions.model,
        Way(
            row_length=setup.row_length,
            checkpointing=setup.checkpointing,
            on_gpu=setup.on_gpu,
            half=setup.half,
            quantization=setup.quantization,
            compiled=setup.compiled,
        ),
    )


def loss_bytes(dimensions: ModelDimensions) -> int:
    """Bytes per token at the moment of the loss, see above."""
    return 3 * FP32 * dimensions.vocabulary


def optimizer_bytes(name: str) -> float:
    """Bytes of state for each trained parameter.

    AdamW has two moments in fp32, its 8-bit form a byte each; AdEMAMix three; Lion one; plain SGD
    and LOMO none; Adafactor a row and a column for each matrix, half a byte at rank 8. Others count
    as AdamW.
    """
    name = name.lower()
    if "sgd" in name or "lomo" in name:
        return 0
    moments = 1 if any(word in name for word in ("lion", "adagrad", "rmsprop")) else 2
    moments += "ademamix" in name
    if "adafactor" in name:
        return 0.5
    if "8bit" in name:
        return moments * (1 + FP32 / 256)
    if "4bit" in name:
        return moments * (0.5 + FP32 / 128)
    return moments * FP32


def weight_bytes(dimensions: ModelDimensions, setup: Setup) -> int:
    """Of the base: quantized linear layers; the rest in compute precision."""
    rest = dimensions.parameters - dimensions.linear
    return round(dimensions.linear * setup.linear_bytes + rest * setup.compute_bytes)


def estimate(dimensions: ModelDimensions, setup: Setup) -> Memory:
    """The peak of training, in bytes by part."""
    rows, growth = setup.batch.micro_batch_size, measured(dimensions, setup)
    kept, backward = growth.kept.of(rows), growth.backward.of(rows)
    if setup.keeps_products:
        kept += products(dimensions.model, rows * setup.row_length, setup.compute_bytes)
    loss = rows * setup.row_length * loss_bytes(dimensions)
    if setup.quantization != "none":
        backward += setup.compute_bytes * dimensions.largest_linear
    in_block = backward > loss
    activations, logits = (kept + backward, 0) if in_block else (kept, loss)
    share = FRAGMENTATION if setup.on_gpu else 0
    return Memory(
        weights=weight_bytes(dimensions, setup),
        adapters=2 * FP32 * dimensions.trainable,
        optimizer=round(optimizer_bytes(setup.optimizer) * dimensions.trainable),
        activations=activations,
        logits=logits,
        overhead=CONTEXT[setup.on_gpu] + round(share * (activations + logits)),
        paged=setup.on_gpu and "paged" in setup.optimizer,
    )


# ---------------------------------------------------------------- does it fit, and what if not


def largest_batch(dimensions: ModelDimensions, setup: Setup, room: int, most: int = 1024) -> int:
    """The most rows of one forward pass that fit into `room` bytes, at most `most`; 0 if none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if estimate(dimensions, replace(setup, batch=Batch(middle, 1))).total <= room:
            low = middle
        else:
            high = middle - 1
    return low


def nearest(
    dimensions: ModelDimensions, setup: Setup, room: int, lengths: tuple[int, ...] = ()
) -> Setup | None:
    """The setup nearest to the given one that fits into `room` bytes, or None.

    In order: smaller batches with more accumulation, which change nothing else; activation
    checkpointing, which takes time; nf4, which changes the base; shorter rows (`lengths`, longest
    first), which cut documents.
    """
    candidates = [setup]
    if not setup.checkpointing:
        candidates.append(replace(setup, checkpointing=True))
    if setup.linear_bytes > 0.6:
        candidates += [replace(s, quantization="nf4") for s in list(candidates)]
    candidates += [replace(candidates[-1], row_length=length) for length in lengths]
    for candidate in candidates:
        largest = largest_batch(dimensions, candidate, room)
        batch = candidate.batch.at_most(min(largest, candidate.batch.micro_batch_size))
        if batch:
            return replace(candidate, batch=batch)
    return None


def changes(before: Setup, after: Setup) -> list[str]:
    """The settings to change, from one setup to another."""
    settings = []
    if after.quantization != before.quantization:
        settings.append(f"quantization: {after.quantization}")
    if after.checkpointing != before.checkpointing:
        settings.append("training.activation_checkpointing: true")
    if after.row_length != before.row_length:
        settings.append(f"tasks.….max_length: {after.row_length}")
    if after.batch.micro_batch_size != before.batch.micro_batch_size:
        settings.append(f"training.batch_size: {after.batch.micro_batch_size}")
        steps = after.batch.gradient_accumulation_steps
        settings.append(f"training.gradient_accumulation: {steps}")
    return settings
