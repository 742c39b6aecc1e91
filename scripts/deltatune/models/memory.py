"""The memory that a training run takes, estimated from sizes alone, without tensors or torch.

The terms hold for a decoder of Llama's kind (Llama, Mistral, Qwen2): RMSNorm, rotary attention
with grouped keys and values, a gated feed-forward layer; with LoRA adapters, the base frozen. All
are read off the source of transformers, peft and bitsandbytes; tests compare them with what
autograd really saves on a small model. In what follows, for one token and one block,

    h  hidden_size         a  heads x head_dim     i  intermediate_size      V  vocab_size
    H  heads               L  tokens of a row      r  rank of an adapter     c  bytes of a number
                                                                              in compute precision
Saved for the backward pass by each block (`block_bytes`):

    2 (4h + 4)   both norms: the input in fp32, whatever the precision, and its inverse deviation
    4 c a        attention: queries, keys, values and output. Packed rows need a mask, and with a
                 mask keys and values are repeated to the number of query heads
    4 H          attention: the softmax's log-sum-exp, fp32
    c L          attention: the mask as numbers to add, one row of it per token, not shared
                 between blocks, because each call makes its own from the mask of booleans
    3 c i        the gate, its activation and the other branch. Linear layers of the frozen base
                 save nothing: their weight is not trained, so their input is not needed

and by each adapter on a linear layer with n inputs:

    c r          the projected input, for the gradient of B
    c n          the input after dropout, for the gradient of A; with dropout each has its own
    n            the dropout's mask on a GPU, a byte each. The CPU saves a factor in fp32: 4 n
                 Without dropout the input itself is saved, once for the layers that share it, and
                 nothing for o_proj, whose input attention saves already. In half precision,
                 on a base that is not quantized, peft casts the input for each, so none share.

Nothing is saved below the first adapter, where no gradient flows: neither by blocks below it, nor
by what comes before it in its own block, nor for its own dropout. Once for all blocks there are
the rotary angles, 2 c head_dim, the last norm, 4h + 4, and, whatever the number of tokens, the
adapters' weights cast to the compute precision.

With activation checkpointing a block keeps its input only, c h, and one block at a time has the
above, while it is computed again.

The loss takes 12 V: in the backward pass there are, in fp32, the log-probabilities, their gradient,
and the gradient of the logits (4 bytes each). In the forward pass there were 10 V before it: logits
in half precision (2), in fp32 (4), log-probabilities (4). In fp32 it is 12 V as well.

During the backward pass of a block there are gradients of activations: about 3 c i + 2 c h,
measured; 4 i more where peft casts the input of a down_proj with an adapter to fp32; under a
quantization also the largest weight, dequantized. Loss and blocks follow one another: the larger
moment is the peak.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from deltatune.models.batch import Batch
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
LLAMA_LIKE = ("llama", "mistral", "qwen2")
# The order of the linear layers in a block; those of one step share their input.
_STEP = {"q_proj": 0, "k_proj": 0, "v_proj": 0, "o_proj": 1, "gate_proj": 2, "up_proj": 2}
_STEP |= {"down_proj": 3}


@dataclass(frozen=True)
class Setup:
    """How a model is trained."""

    quantization: str
    optimizer: str
    dropout: float
    batch: Batch
    row_length: int
    """Tokens of a packed row."""
    checkpointing: bool
    on_gpu: bool
    half: bool
    """Whether it computes in bf16 or fp16 rather than in fp32."""
    gptq: tuple[int, int] = (4, 128)
    """Bits and group size, where the quantization is gptq."""

    @property
    def compute_bytes(self) -> int:
        return 2 if self.half else FP32

    @property
    def linear_bytes(self) -> float:
        """Bytes of a weight of a quantized layer."""
        if self.quantization == "gptq":
            return group_bytes(*self.gptq)
        return BYTES.get(self.quantization, self.compute_bytes)

    @property
    def casts_inputs(self) -> bool:
        """Whether peft casts the input of each adapter to fp32 and autocast casts it back."""
        return self.quantization == "none" and self.half


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

    @property
    def allocated(self) -> int:
        """What torch.cuda.max_memory_allocated should show."""
        return self.total - self.overhead

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


def block_bytes(dimensions: ModelDimensions, setup: Setup, block: int) -> int:
    """Bytes per token that one block saves for the backward pass, see above."""
    lowest = min(((a.block, _STEP.get(a.layer, 0)) for a in dimensions.adapters), default=(0, 0))

    def reached(step: int) -> bool:
        """Whether a gradient flows to the output of a step of this block."""
        return (block, step) >= lowest

    c, width = setup.compute_bytes, dimensions.heads * dimensions.head_dim
    norm = FP32 * dimensions.hidden + FP32
    kept = norm * ((block, 0) > lowest) + norm * reached(1)
    if reached(0):
        kept += 4 * c * width + FP32 * dimensions.heads + c * setup.row_length
    if reached(2):
        kept += 3 * c * dimensions.intermediate
    if setup.quantization == "int8" and reached(0):
        # bitsandbytes saves the input of every 8-bit layer, of those that share one only once.
        kept += c * (2 * dimensions.hidden + dimensions.intermediate)
    seen = {_STEP["o_proj"]} if reached(0) else set()
    for adapter in dimensions.adapters:
        if adapter.block != block:
            continue
        step = _STEP.get(adapter.layer, 0)
        kept += c * adapter.rank
        if setup.dropout or setup.casts_inputs or step not in seen:
            kept += c * adapter.inputs
        if setup.dropout and (block, step) > lowest:
            kept += adapter.inputs * (1 if setup.on_gpu else FP32)
        seen.add(step)
    return kept


def kept_bytes(dimensions: ModelDimensions, setup: Setup) -> int:
    """Bytes per token that all of the model saves for the backward pass, the loss left out."""
    c = setup.compute_bytes
    blocks = range(dimensions.blocks)
    if setup.checkpointing:
        # The mask of booleans is an input of every block; a byte for each token of the row.
        kept = dimensions.blocks * c * dimensions.hidden + setup.row_length
    else:
        kept = sum(block_bytes(dimensions, setup, block) for block in blocks)
    return kept + 2 * c * dimensions.head_dim + FP32 * dimensions.hidden + FP32


def casts(dimensions: ModelDimensions, setup: Setup) -> int:
    """Bytes of the adapters' weights in compute precision, which a forward pass saves."""
    kept = setup.half and not setup.checkpointing
    return setup.compute_bytes * dimensions.trainable if kept else 0


def loss_bytes(dimensions: ModelDimensions) -> int:
    """Bytes per token at the moment of the loss, see above."""
    return 3 * FP32 * dimensions.vocabulary


def backward_peak_bytes(dimensions: ModelDimensions, setup: Setup) -> int:
    """Bytes per token in the backward pass of a block, beyond what all blocks save, see above."""
    c = setup.compute_bytes
    peak = 3 * c * dimensions.intermediate + 2 * c * dimensions.hidden
    if setup.casts_inputs and any(a.layer == "down_proj" for a in dimensions.adapters):
        peak += FP32 * dimensions.intermediate
    if setup.checkpointing:
        peak += max(block_bytes(dimensions, setup, block) for block in range(dimensions.blocks))
    return peak


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
    tokens = setup.batch.micro_batch_size * setup.row_length
    kept = tokens * kept_bytes(dimensions, setup) + casts(dimensions, setup)
    loss = tokens * loss_bytes(dimensions)
    backward = tokens * backward_peak_bytes(dimensions, setup)
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
