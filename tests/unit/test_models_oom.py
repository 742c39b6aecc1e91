import pytest
import torch
from deltatune.config.optimizers import OPTIMIZERS
from deltatune.core.errors import UserError
from deltatune.models import oom


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
    ("error", "short"),
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
def test_what_counts_as_short_of_memory(error, short):
    assert oom.out_of_memory(error) is short


@pytest.mark.parametrize(
    ("plan", "next_"),
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
def test_a_smaller_batch_keeps_the_rows_of_a_step(plan, next_):
    found = oom.smaller(*plan)
    assert found == next_
    if found:
        assert found[0] * found[1] == plan[0] * plan[1]


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
    said = []
    assert oom.evaluate(run, 32, where="tasks.x.evaluation.batch_size", say=said.append) == (
        "by 8",
        8,
    )
    assert tried == [32, 16, 8]
    assert len(said) == 2 and said[0].startswith("tasks.x.evaluation.batch_size: memory ran short")
    assert "32" in said[0] and "again with 8" in said[1]


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


def test_the_optimizers_are_those_of_transformers():
    from transformers.training_args import OptimizerNames

    assert set(OPTIMIZERS) == {name.value for name in OptimizerNames}
    assert list(OPTIMIZERS) == sorted(OPTIMIZERS)
