import string
from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.attribution import N_CHARACTERS, hash_name, make, read

ALPHABET = string.ascii_letters + string.digits + "-_"


@given(st.floats(0, 2**32 - 1), st.text(max_size=40), st.none() | st.text(max_size=64))
def test_an_id_says_when_by_which_version_and_for_which_scenario(
    now: float, version: str, scenario: str | None
) -> None:
    made = make(now, version, scenario)
    assert len(made) == N_CHARACTERS
    found = read(made)
    assert found is not None
    assert found.time == int(now)
    assert found.version == hash_name(version, 4)
    assert found.scenario == (bytes(2) if scenario is None else hash_name(scenario, 2))


def test_no_two_are_alike() -> None:
    assert len({make(1e9, "v", "s") for _ in range(10_000)}) == 10_000


def test_a_changed_one_is_not_ours() -> None:
    """A check of 16 bits lets one of 65,536 pass: of some 1,500 changed ones, hardly ever one."""
    made = make(1_763_000_000, "20261121T081200Z-3f9a2c1d", None)
    changed = {made[:place] + one + made[place + 1 :] for place in range(N_CHARACTERS) for one in ALPHABET} - {made}
    assert len(changed) == N_CHARACTERS * 63
    assert sum(read(one) is not None for one in changed) <= 3


@pytest.mark.parametrize(
    "text",
    ["", "x", "0" * 24, "=" * 24, "\u00e9" * 24, "a" * 32, "!" * 24, "AAAA\n" * 4 + "AAAA", "\ud800" * 24,
     urlsafe_b64encode(b"0123456789abcdefgh").decode()],
)  # fmt: skip
def test_what_is_not_ours_is_recognised(text: str) -> None:
    assert read(text) is None


def test_what_the_decoder_would_pass_over_is_not_ours() -> None:
    made = make(1e9, "v", None)
    assert read(made[:-1] + "!") is None
    assert read(made + "\n") is None
    assert read(made.replace("-", "+").replace("_", "/") + "=") is None
