from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.opinions import MIN_WEIGHT, NO_OPINIONS, Acts, Opinion, form
from app.store.state import KINDS, Interaction


def plainly(acts: Sequence[tuple[int, Interaction]], hidden: set[int]) -> list[Opinion]:
    """The same, one act after the other."""
    strongest: dict[int, Opinion] = {}
    for row, one in sorted(acts, key=lambda act: -act[1].timestamp):
        if row < 0 or abs(one.weight) < MIN_WEIGHT or (row in hidden and one.weight > 0):
            continue
        known = strongest.get(row)
        if known is None or abs(one.weight) > abs(known.weight):
            strongest[row] = Opinion(row, one.weight, one.kind)
    return list(strongest.values())


ACTS = st.lists(
    st.tuples(
        st.integers(-1, 5),
        st.builds(
            Interaction,
            st.just("item"),
            st.sampled_from(KINDS),
            st.sampled_from([-100.0, -1.0, -0.3, 0.0, 1e-7, 1e-6, 0.3, 1.0, 1.0000001]),
            st.integers(0, 5).map(float),
        ),
    ),
    max_size=20,
)


@given(ACTS, ACTS, st.sets(st.integers(0, 5)))
def test_opinions_are_what_a_plain_loop_makes(
    sent: list[tuple[int, Interaction]], stored: list[tuple[int, Interaction]], hidden: set[int]
) -> None:
    first, second = (
        Acts.of(np.array([row for row, _ in acts], dtype=np.int32), [one for _, one in acts]) for acts in (sent, stored)
    )
    found = form(first.and_then(second), np.array(sorted(hidden), dtype=np.int32))
    expected = plainly([*sent, *stored], hidden)
    assert list(found) == expected
    assert [found[at] for at in range(len(found))] == expected
    assert found[1:] == tuple(expected[1:])
    assert found.items.tolist() == [one.item for one in expected]
    assert found.weights.tolist() == [float(np.float32(one.weight)) for one in expected]
    assert bool(found) == bool(expected)


def test_none_are_none() -> None:
    assert NO_OPINIONS == ()
    assert list(NO_OPINIONS) == []
