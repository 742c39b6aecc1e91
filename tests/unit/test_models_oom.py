import pytest
import torch
from deltatune.core.errors import UserError
from deltatune.models import oom
from deltatune.models.batch import Batch, Passes, smaller, smaller_batch


@pytest.mark.parametrize(
    ("asked", "parameters", "on_gpu", "used"),
    [
        ("auto", 7_000_000_000, True, True),
        ("auto", 7_000_000_000, False, False),
        ("auto", 900_000_000, True, False),
        (True, 1000, False, True),
        (False, 7_000_000_000, True, False),
    ],
)
def test_checkpointing_by_itself_is_for_large_models_on_a_gpu(asked, parameters, on_gpu, used):
    assert oom.use_checkpointing(asked, parameters, on_gpu) is used


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), True),
        (RuntimeError("expected scalar type Half but found Float"), False),
        (ValueError("out of memory"), False),
        (UserError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert oom.out_of_memory(error) is expected


@pytest.mark.parametrize(
    ("used", "smaller"),
    [
        ((8, 1), (4, 2)),
        ((4, 2), (2, 4)),
        ((6, 1), (3, 2)),
        ((5, 1), (1, 5)),
        ((5, 4), (2, 10)),
        ((3, 1), (1, 3)),
        ((2, 3), (1, 6)),
        ((1, 8), None),
    ],
)
def test_a_smaller_batch_keeps_the_rows_of_a_step(used, smaller):
    used = Batch(*used)
    if smaller is None:
        with pytest.raises(UserError, match=r"training\.batch_size: out of memory with one row"):
            smaller_batch(used)
        return
    batch, message = smaller_batch(used)
    assert batch == Batch(*smaller) and batch.rows == used.rows
    assert f"batch_size {smaller[0]} and gradient_accumulation {smaller[1]}" in message


def test_with_few_rows_left_activations_are_recomputed_first():
    """Where both are chosen: 8, 4, then 4 with checkpointing, 2, 1."""
    passes, messages = [Passes(Batch(8, 2), False, "a test", least_plain=4)], []
    while passes[-1].batch.micro_batch_size > 1:
        after, message = smaller(passes[-1])
        passes.append(after)
        messages.append(message)
    assert [(p.batch.micro_batch_size, p.checkpointing) for p in passes] == [
        *((8, False), (4, False), (4, True), (2, True), (1, True))
    ]
    assert {p.batch.rows for p in passes} == {16}
    assert "training.activation_checkpointing: out of memory with 4 rows" in messages[1]
    assert passes[2].reason == (
        "memory ran out with 4 rows at a time and without activation checkpointing"
    )
    assert passes[3].reason == "memory ran out with 4 rows at a time"
    with pytest.raises(UserError, match=r"one row at a time"):
        smaller(passes[-1])
    # As it is set, it stays.
    assert not smaller(Passes(Batch(4, 1), False, "as set"))[0].checkpointing


def _limited(most, error):
    tried = []

    def run(size):
        tried.append(size)
        if size > most:
            raise error
        return f"by {size}"

    return run, tried


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("out of memory"), MemoryError()])
def test_an_evaluation_begins_again_with_half_the_batch(error):
    run, tried = _limited(10, error)
    messages = []
    assert oom.evaluate(run, 32, where="tasks.x.evaluation.batch_size", say=messages.append) == (
        "by 8",
        8,
    )
    assert tried == [32, 16, 8]
    assert len(messages) == 2 and messages[0].startswith(
        "tasks.x.evaluation.batch_size: out of memory"
    )
    assert "32" in messages[0] and "again with 8" in messages[1]


def test_an_evaluation_that_fits_says_nothing():
    run, tried = _limited(99, MemoryError())
    assert oom.evaluate(run, 7, where="x", say=pytest.fail) == ("by 7", 7)
    assert tried == [7]


def test_an_evaluation_of_one_that_does_not_fit_gives_advice():
    run, tried = _limited(0, MemoryError())
    with pytest.raises(UserError, match=r"tasks\.x.*batches of one.*max_length"):
        oom.evaluate(run, 3, where="tasks.x", say=lambda text: None)
    assert tried == [3, 1]


def test_other_errors_are_not_hidden():
    run, tried = _limited(1, RuntimeError("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        oom.evaluate(run, 4, where="x", say=pytest.fail)
    assert tried == [4]
