"""How a step of training is computed: which optimizer's kernels, compiled blocks, passes that are
captured, which logits, what is computed again in the backward pass.

The settings say what a step is: its rows, its learning rate, its mathematics. Computed one way or
another it is the same but for rounding and, under dropout, for which numbers are dropped. So the
way is chosen here, by rules over sizes, and stands in the log and in the manifest; a rule that
changes trains nothing again. On a CPU, and under `determinism: strict`, everything is computed as
it is named. Needs no tensors to be imported, so that a plan can ask as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

#: One mathematics under several names: AdamW with moments in fp32, and transformers 5.23 gives all
#: of them the same betas (0.9, 0.999), epsilon (1e-8) and groups for weight decay. Where
#: bitsandbytes decays after the update instead of before it, an update differs by the learning rate
#: times the weight decay of itself, about a millionth, which is rounding.
ADAMW = ("adamw_torch", "adamw_torch_fused", "paged_adamw_32bit")
FUSED, PAGED = "adamw_torch_fused", "paged_adamw_32bit"
#: Bytes of AdamW's state for each trained parameter: two moments in fp32.
ADAMW_BYTES = 8
#: The state may take so much of the memory that is free before training; the rest is for
#: activations. On a GPU of 16 GB beside a 7B model in 4 bits that is enough for rank 64 on all
#: layers (170 million parameters).
FREE_SHARE = 1 / 8

# Whether compiling pays. Measured on an H100 with SmolLM2-135M (30 blocks, NF4, rank 16), passes of
# 8 x 512 tokens: 2.53 steps per second without and 3.44 with compiled blocks, after 18 s.
#: Seconds that compiling takes: 18 there, up to 60 on slower processors and of blocks that differ.
COMPILING = 40.0
#: What it saves of the time of a forward and backward pass: 1 - 2.53 / 3.44.
SAVED = 0.26
#: Seconds of such a pass for each block, which launching its kernels takes: 1 / 2.53 / 30.
LAUNCHING = 0.013
#: The same where the pass is captured, which waits for no launch: 1 / 19.4 / 30 there.
CAPTURED = 0.0017
#: Floating-point operations per second of a large GPU in 16 bits: more than training reaches, so
#: that a pass is not thought longer than it is.
OPERATIONS = 4e14

#: Parameters of the base times tokens of a pass up to which capturing it pays. Measured on an H100
#: at the shape of Mistral-7B, with compiled blocks: passes of 4 x 512 tokens (1.5e13) are computed
#: 1.6 times as fast when captured, of 4 x 2,048 (5.9e13) 0.9 times.
CAPTURED_WORK = 3e13
#: Passes from which on capturing pays, which takes some four of them and a few seconds.
CAPTURED_PASSES = 40

#: Quantizations whose layers compile, and wait for the processor nowhere.
COMPILED = ("nf4", "none")


@dataclass(frozen=True)
class Way:
    """One thing that was chosen, and why."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Computed:
    """How the steps of a run are computed, from the first one to the last."""

    optimizer: Way
    """kind: a name of transformers."""
    kernels: Way
    """kind: "eager" or "compiled"."""
    launches: Way
    """kind: "single", or "captured": all kernels of a pass at once, see `capture`."""
    logits: Way
    """kind: "all" or "supervised": the tokens that there are logits of."""
    recomputed: Way = Way("nothing", "no activation checkpointing")
    """kind: what the backward pass computes again: "nothing", "blocks", or "rest": of compiled
    blocks all but the products with the base's weights, which are kept."""

    def figures(self) -> dict[str, str]:
        """For the manifest."""
        figures = {}
        for name, way in (
            ("optimizer", self.optimizer),
            ("kernels", self.kernels),
            ("launches", self.launches),
            ("logits", self.logits),
            ("recomputed", self.recomputed),
        ):
            figures[f"{name}_used"], figures[f"{name}_reason"] = way.kind, way.reason
        return figures

    def text(self) -> str:
        """For the log."""
        return (
            f"optimizer: {self.optimizer.kind} ({self.optimizer.reason}); kernels: "
            f"{self.kernels.kind} ({self.kernels.reason}); launches: {self.launches.kind} "
            f"({self.launches.reason}); logits: {self.logits.kind} ({self.logits.reason}); "
            f"recomputed: {self.recomputed.kind} ({self.recomputed.reason})"
        )

    def plain(self, problem: str) -> Computed:
        """The same with eager kernels that are launched one by one."""
        why = f"the other way failed: {problem}"
        recomputed = self.recomputed
        if recomputed.kind == "rest":
            recomputed = Way("blocks", why)
        plain = {"kernels": Way("eager", why), "launches": Way("single", why)}
        return replace(self, **plain, recomputed=recomputed)

    @classmethod
    def read(cls, values: dict[str, dict[str, str]]) -> Computed:
        """What `dataclasses.asdict` made of one."""
        return cls(**{name: Way(**way) for name, way in values.items()})


@dataclass(frozen=True)
class Run:
    """What the choice depends on."""

    optimizer: str
    """Of the settings."""
    quantization: str
    strict: bool
    """Whether `determinism` is strict."""
    on_gpu: bool
    fp16: bool
    """Whether it computes in fp16, with a gradient scaler."""
    processes: int
    trainable: int
    """Parameters that are trained."""
    free: int
    """Bytes of GPU memory that are free beside the base and the adapter."""
    parameters: int
    """Of the base."""
    blocks: int
    """Transformer blocks that are known as such."""
    has_experts: bool
    compiler: bool
    """Whether torch.compile does what it says."""
    checkpointing: bool
    draws: bool
    """Whether the model draws random numbers, for dropout."""
    products: int
    """Bytes of the products with the base's weights in a pass, in the blocks, where compiled blocks
    would keep them beside activation checkpointing."""
    spare: int
    """Bytes of GPU memory that a pass as it is chosen leaves free, see `batch.Passes`."""
    passes: int
    """Forward and backward passes of the run, in each process."""
    tokens: int
    """Of a pass; 0 where passes differ in their shape."""
    selects_logits: bool
    """Whether the model's class gives the same logits for some of the tokens."""


def choose(run: Run) -> Computed:
    """How the steps of a run are computed."""
    if run.strict or not run.on_gpu:
        reason = "determinism: strict" if run.strict else "no GPU of CUDA"
        plain = (run.optimizer, "eager", "single", "all")
        return Computed(*(Way(kind, reason) for kind in plain), _recomputed(run, "eager"))
    launches = _launches(run)
    kernels = _kernels(run, launches.kind == "captured")
    recomputed = _recomputed(run, kernels.kind)
    return Computed(_optimizer(run), kernels, launches, _logits(run), recomputed)


def _optimizer(run: Run) -> Way:
    if run.optimizer not in ADAMW:
        return Way(run.optimizer, "as named")
    state, room = ADAMW_BYTES * run.trainable, FREE_SHARE * run.free
    numbers = f"its state of {state / 1e9:.2f} GB, {run.free / 1e9:.1f} GB free"
    if state > room:
        return Way(PAGED, f"little memory: {numbers}")
    if run.fp16 and run.optimizer != FUSED:
        # A fused step that the scaler skips counts for the learning rate's schedule all the same.
        return Way(run.optimizer, "as named: in fp16 the gradient scaler skips steps")
    return Way(FUSED, f"AdamW in fp32; enough memory: {numbers}")


def _varies(run: Run) -> str:
    """Why passes are not all alike; empty where they are."""
    if run.quantization not in COMPILED:
        return f"layers in {run.quantization} wait for the processor"
    if run.processes > 1:
        return "several processes"
    if run.has_experts:
        return "each expert of a mixture has another number of tokens in every pass"
    return "" if run.tokens else "rows differ in length"


def _launches(run: Run) -> Way:
    if reason := _varies(run):
        return Way("single", reason)
    if run.checkpointing and run.draws:
        return Way("single", "recomputing activations draws the numbers of dropout again")
    if run.fp16:
        return Way("single", "in fp16 the gradient scaler looks at every step")
    if not run.selects_logits:
        return Way("single", "the model's class gives no logits of a constant number of tokens")
    work = run.parameters * run.tokens
    numbers = f"{work:.1e} parameters times tokens in a pass, at most {CAPTURED_WORK:.0e}"
    if work > CAPTURED_WORK:
        return Way("single", f"passes are long: {numbers}")
    if run.passes < CAPTURED_PASSES:
        return Way("single", f"a run of {run.passes} passes is short")
    return Way("captured", f"passes are short: {numbers}")


def _kernels(run: Run, captured: bool) -> Way:
    if reason := _varies(run):
        return Way("eager", reason)
    if not run.compiler:
        return Way("eager", "torch.compile is switched off")
    if not run.blocks:
        return Way("eager", "transformers does not say which blocks the model has")
    saved = SAVED * run.passes * seconds(run, captured)
    numbers = f"about {saved:.0f} s of {run.passes} passes, {COMPILING:.0f} s of compiling"
    if saved < 2 * COMPILING:
        return Way("eager", f"compiling saves {numbers}")
    return Way("compiled", f"saves {numbers}")


def _recomputed(run: Run, kernels: str) -> Way:
    if not run.checkpointing:
        return Way("nothing", "no activation checkpointing")
    if kernels == "eager" or not run.products:
        return Way("blocks", "activation checkpointing")
    numbers = (
        f"the products with the base's weights take {run.products / 1e9:.1f} GB, "
        f"{run.spare / 1e9:.1f} GB are left"
    )
    # Measured on an H100 at the shape of Mistral-7B, 4 x 2,048 tokens, with compiled blocks: 0.58 s
    # and 30.5 GB with the products kept, 0.78 s and 10.1 GB without.
    return Way("rest" if run.products <= run.spare else "blocks", numbers)


def seconds(run: Run, captured: bool) -> float:
    """At least what a forward and backward pass takes without compiling."""
    # Two operations forward and two backward for each weight and token; frozen weights have no
    # gradient.
    block = CAPTURED if captured else LAUNCHING
    return max(block * run.blocks, 4 * run.parameters * run.tokens / OPERATIONS)


def _logits(run: Run) -> Way:
    if not run.selects_logits:
        return Way("all", "the model's class does not give the same for some of the tokens")
    return Way("supervised", "the loss takes no other")
