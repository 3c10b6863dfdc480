"""The schedules, written out by hand where the paper's example says them."""

from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.models import sparsity
from training.models.sparsity import Width, widths


def test_halving_begins_where_it_is_told() -> None:
    found = widths("halving", 4096, 16, start_k=128, stage_epochs=1, epochs=10)
    assert found == [(128, 1), (64, 1), (32, 1), (16, 10)]
    assert widths("halving", 4096, 16, start_k=16, stage_epochs=1, epochs=10) == [(16, 10)]
    assert widths("halving", 64, 16, start_k=128, stage_epochs=2, epochs=3) == [(64, 2), (32, 2), (16, 3)]


def test_step_wise_is_the_list_of_the_reference() -> None:
    found = widths("step-wise", 4096, 16, start_k=0, stage_epochs=10, epochs=10)
    assert found == [(k, 10) for k in (4096, 1024, 512, 256, 128, 64, 32, 16)]


def test_exponential_ends_at_17_in_the_70th_epoch() -> None:
    found = widths("exponential", 4096, 16, start_k=0, stage_epochs=10, epochs=10)
    assert sum(width.epochs for width in found) == 80
    assert found[:3] == [(4096, 1), (int(4096 * 2**-1.1), 1), (int(4096 * 2**-1.2), 1)]
    assert found[10] == (1024, 1)
    assert found[-2:] == [(17, 1), (16, 10)]


def test_linear_takes_equal_steps() -> None:
    found = widths("linear", 4096, 16, start_k=0, stage_epochs=10, epochs=10)
    assert len(found) == 71
    assert {before.k - after.k for before, after in pairwise(found[:-1])} == {(4096 - 16) // 70}


def test_constant_is_one_stage() -> None:
    assert widths("constant", 4096, 16, start_k=0, stage_epochs=10, epochs=10) == [(16, 10)]


@given(
    st.sampled_from(get_args(sparsity.Schedule)),
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 400),
    st.integers(1, 12),
    st.integers(1, 9),
)
def test_every_schedule_narrows_down_to_k(
    schedule: sparsity.Schedule, n_dims: int, k: int, start_k: int, stage_epochs: int, epochs: int
) -> None:
    k = min(k, n_dims)
    found = widths(schedule, n_dims, k, start_k=start_k, stage_epochs=stage_epochs, epochs=epochs)
    assert found[-1] == Width(k, epochs)
    assert all(before.k > after.k for before, after in pairwise(found))
    assert found[0].k <= n_dims
    assert all(width.epochs >= 1 for width in found)


@pytest.mark.parametrize("schedule", ["step-wise", "linear", "exponential"])
def test_nothing_is_pruned_where_all_dims_are_kept(schedule: sparsity.Schedule) -> None:
    assert widths(schedule, 32, 32, start_k=0, stage_epochs=2, epochs=3) == [(32, 3)]
