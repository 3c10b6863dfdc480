"""Cursors as texts: what comes back is what went in, or a refusal; and the secret that they are signed with."""

import random
import stat
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app.cursors import AHEAD_SECONDS, MAX_CHARS, MAX_SERVED, VALID_SECONDS, BadCursor, Cursor, Cursors
from app.secret import secret_of
from app.settings import Settings

NOW = 1_763_700_000.0
CURSORS = Cursors(b"a secret of the tests")

BODIES = st.dictionaries(
    st.sampled_from(["user_id", "history", "exclude_ids", "steer"]),
    st.text(st.characters()) | st.lists(st.text(st.characters())) | st.floats(-1, 1),
)
SERVED = st.lists(st.integers(0, 2**64 - 1), max_size=50)


def cursor(body: dict[str, object] | None = None, served: list[int] | None = None) -> Cursor:
    hashes = np.array(served or [1, 2**64 - 1], dtype=np.uint64)
    return Cursor("row", body or {"user_id": "u1"}, "20261121T081200Z-3f9a2c1d", ("segment", "s1"), hashes)


def text_of(one: Cursor, now: float = NOW) -> str:
    text = CURSORS.dump(one, now)
    assert text is not None
    return text


@hypothesis_settings(deadline=None)
@given(BODIES, SERVED)
def test_what_comes_back_is_what_went_in(body: dict[str, object], served: list[int]) -> None:
    made = cursor(body)._replace(served=np.array(served, dtype=np.uint64))
    found = CURSORS.load(text_of(made), NOW + 1)
    assert found._replace(served=made.served) == made
    assert found.served.tolist() == served


def test_a_cursor_is_short() -> None:
    """Some 11 characters an item on top of some 150."""
    assert len(text_of(cursor(served=list(range(72))))) < 1000


@hypothesis_settings(deadline=None)
@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    text = text_of(cursor())
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda one: one != text[place]))
    with pytest.raises(BadCursor, match="not one of this server's"):
        CURSORS.load(text[:place] + other + text[place + 1 :], NOW)


@hypothesis_settings(deadline=None)
@given(st.data())
def test_a_cursor_that_is_cut_off_or_longer_is_refused(data: st.DataObject) -> None:
    text = text_of(cursor())
    kept = text[: data.draw(st.integers(0, len(text) - 1))]
    longer = text + data.draw(st.text(min_size=1, max_size=9))
    for wrong in (kept, longer, text[4:], text + "=", " " + text, text + "\n"):
        with pytest.raises(BadCursor, match="not one of this server's"):
            CURSORS.load(wrong, NOW)


@hypothesis_settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(min_size=24, max_size=2000), st.text(max_size=200))
def test_anything_else_is_refused(raw: bytes, text: str) -> None:
    for wrong in (text, urlsafe_b64encode(raw).decode(), urlsafe_b64encode(raw).rstrip(b"=").decode()):
        with pytest.raises(BadCursor, match="not one of this server's"):
            CURSORS.load(wrong, NOW)


def test_of_several_texts_for_the_same_bytes_one_is_right() -> None:
    text = text_of(cursor()._replace(body={"user_id": "u12"}))
    twins = [text[:-1] + last for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    good = []
    for twin in twins:
        try:
            CURSORS.load(twin, NOW)
        except BadCursor:
            continue
        good.append(twin)
    assert good == [text]


def test_a_cursor_of_another_key_is_refused() -> None:
    with pytest.raises(BadCursor, match="another key"):
        Cursors(b"another secret").load(text_of(cursor()), NOW)


def test_a_cursor_is_valid_for_half_an_hour_on_clocks_that_nearly_agree() -> None:
    text = text_of(cursor())
    CURSORS.load(text, NOW + VALID_SECONDS)
    CURSORS.load(text, NOW - AHEAD_SECONDS)
    with pytest.raises(BadCursor, match="older than 30 minutes"):
        CURSORS.load(text, NOW + VALID_SECONDS + 1)
    with pytest.raises(BadCursor):
        CURSORS.load(text, NOW - AHEAD_SECONDS - 1)


def test_cursors_are_bounded_in_what_they_keep_and_in_size() -> None:
    full = cursor(served=[one * 2**50 + 1 for one in range(MAX_SERVED)])
    assert len(text_of(full)) <= MAX_CHARS
    assert CURSORS.dump(cursor(served=list(range(1, MAX_SERVED + 2))), NOW) is None
    noise = random.Random(1)
    for n in (100, 300, 3000, 100_000):
        history = [{"item_id": noise.randbytes(100).hex()} for _ in range(n // 10)]
        text = CURSORS.dump(full._replace(body={"history": history}), NOW)
        assert (text is None) == (n > 300)
        assert text is None or len(text) <= MAX_CHARS


def test_the_secret_is_made_once_and_for_its_owner_alone(settings: Settings) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: secret_of(settings), range(32)))
    (secret,) = found
    assert len(secret) == 32
    path = settings.data / "secret"
    assert path.read_bytes() == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in settings.data.iterdir()] == ["secret"]


def test_a_secret_that_is_set_comes_first(settings: Settings) -> None:
    own = settings.model_copy(update={"secret": SecretStr("the secret of several hosts")})
    assert secret_of(own) == b"the secret of several hosts"
    assert not (settings.data / "secret").exists()
    with pytest.raises(ValidationError, match="secret"):
        Settings.model_validate({"secret": "too short"})


def test_where_no_secret_can_be_kept_each_process_has_its_own(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    nowhere = settings.model_copy(update={"data": tmp_path / "file" / "data"})
    assert secret_of(nowhere) != secret_of(nowhere)
    assert "set SPARROW_SECRET" in caplog.text


def test_a_secret_that_is_cut_off_is_not_used(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    settings.data.mkdir()
    (settings.data / "secret").write_bytes(b"short")
    assert len(secret_of(settings)) == 32
    assert "it holds 5 bytes, not 32: remove it" in caplog.text
