"""How many rows at a time, and whether activations are recomputed, by the memory of a GPU."""

from __future__ import annotations

from dataclasses import replace

import pytest
from deltatune.models import memory, micro_batch
from deltatune.models.activations import Activations, Growth
from deltatune.models.batch import Batch
from deltatune.models.dimensions import ModelDimensions
from deltatune.models.memory import CONTEXT, Setup

GB = 10**9
#: A row of 512 tokens takes 1 GB, and a tenth of that with checkpointing; nothing else takes any.
SIZES = ModelDimensions(
    kind="a test", quantizable=None, parameters=7 * GB, linear=0, largest_linear=0, trainable=0,
    vocabulary=0, model=None,
)  # fmt: skip


@pytest.fixture(autouse=True)
def growth(monkeypatch):
    def measured(dimensions, setup):
        each = setup.row_length * GB // 512 // (10 if setup.checkpointing else 1)
        return Activations(Growth(0, round(each / (1 + memory.FRAGMENTATION))), Growth(0, 0))

    monkeypatch.setattr(memory, "measured", measured)


def choose(batch, room, *, automatic=True, rows=1000, sizes=SIZES, **changes):
    """room: in rows of 512 tokens without checkpointing, beside the context and what is spared."""
    fields = {"quantization": "none", "optimizer": "sgd", "row_length": 512}
    fields |= {"checkpointing": False, "on_gpu": True, "half": True}
    setup = Setup(batch=Batch(*batch), **fields | changes)
    weights = memory.weight_bytes(sizes, setup)
    total = (room * GB + CONTEXT[True] + weights) / (1 - micro_batch.SAFETY) + 1000
    return micro_batch.choose(sizes, setup, round(total), automatic=automatic, rows=rows)


@pytest.mark.parametrize(
    ("batch", "room", "expected", "checkpointing"),
    [
        ((4, 4), 16, (16, 1), False),
        ((16, 1), 15.9, (8, 2), False),
        # Half of the tokens without checkpointing are as fast as all with it, a quarter are not.
        ((4, 4), 8, (8, 2), False),
        ((4, 4), 7.9, (16, 1), True),
        ((8, 1), 4, (4, 2), False),
        ((8, 1), 3.9, (8, 1), True),
        ((1, 16), 0.9, (8, 2), True),
        ((1, 16), 0.1, (1, 16), True),
        # All rows of a step are enough, however few.
        ((2, 1), 2, (2, 1), False),
        ((2, 1), 1.9, (2, 1), True),
        ((5, 1), 4, (5, 1), True),
        ((3, 7), 9, (7, 3), False),
    ],
)
def test_as_many_rows_as_fit_without_checkpointing_where_they_are_enough(
    batch, room, expected, checkpointing
):
    chosen = choose(batch, room)
    assert (chosen.batch, chosen.checkpointing) == (Batch(*expected), checkpointing)
    assert chosen.batch.rows == Batch(*batch).rows


@pytest.mark.parametrize(("parameters", "checkpointing"), [(7 * GB, False), (GB // 7, True)])
def test_small_models_gain_by_larger_passes(parameters, checkpointing):
    """They wait for the host, so that 16 rows are hardly slower than 8, even recomputed."""
    small = replace(SIZES, parameters=parameters)
    chosen = choose((1, 16), 14, sizes=small)
    assert chosen.checkpointing is checkpointing
    # Where both fit, nothing is recomputed.
    assert not choose((1, 16), 16, sizes=small).checkpointing


def test_longer_rows_are_enough_sooner():
    assert choose((1, 16), 8, row_length=2048).checkpointing
    assert choose((1, 16), 16, row_length=2048).batch == Batch(4, 4)


@pytest.mark.parametrize(
    ("written", "room", "expected"),
    [(True, 16, (16, 1)), (True, 0.4, (4, 4)), (False, 2.5, (2, 8)), (False, 16, (16, 1))],
)
def test_checkpointing_that_is_written_stays(written, room, expected):
    chosen = choose((4, 4), room, automatic=False, checkpointing=written)
    assert (chosen.batch, chosen.checkpointing) == (Batch(*expected), written)
    assert chosen.least_plain == 0


def test_a_pass_has_no_more_rows_than_there_are():
    assert choose((4, 16), 100, rows=26).batch == Batch(16, 4)
    assert choose((4, 16), 100, rows=0).batch == Batch(1, 64)
    assert ", as many as there are: " in choose((4, 16), 100, rows=26).reason


def test_what_does_not_fit_is_tried_row_by_row():
    for automatic in (True, False):
        chosen = choose((4, 4), 0.01, automatic=automatic)
        assert (chosen.batch, chosen.checkpointing) == (Batch(1, 16), automatic)


def test_reasons_have_the_numbers():
    assert choose((4, 4), 16).reason == "all that a step has: 30.5 GB of 33.9 GB"
    assert choose((4, 4), 8).reason == (
        "no more of 16 fit: 22.5 GB of 25.0 GB; 16 with activation checkpointing take longer"
    )
    assert choose((4, 4), 3).reason == (
        "all that a step has: 16.1 GB of 19.4 GB; without activation checkpointing 2 would"
    )
    assert choose((4, 4), 0.5).reason.endswith("without activation checkpointing none would")


def test_what_is_left_as_it_is_set():
    assert micro_batch.why_as_set(True, False, True) is None
    for given in ((False, False, True), (True, True, True), (True, False, False)):
        assert micro_batch.why_as_set(*given).startswith("as set: ")
