import logging
import os
import stat
import string
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from app import keys
from app.__main__ import cli
from app.keys import ROLES, Key, Keyring, KeysError, Role, parse


def line(name: str, role: str, secret: str) -> str:
    return f"{name} {role} {sha256(secret.encode()).hexdigest()}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is looked at each time."""
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)


def test_a_key_is_found_by_what_only_its_owner_knows(file: Path) -> None:
    secret = keys.add(file, "shop", "write")
    other = keys.add(file, "board", "read")
    keyring = Keyring(file)
    found = keyring.find(secret)
    assert found is not None
    assert (found.name, found.role) == ("shop", "write")
    second = keyring.find(other)
    assert second is not None
    assert second.name == "board"
    assert secret not in file.read_text()
    assert len(secret) == len("sparrow_") + 43
    for wrong in ("", secret[:-1], secret + "x", found.digest, secret.upper(), "\udcff"):
        assert keyring.find(wrong) is None


def test_the_file_is_private_and_written_whole(file: Path) -> None:
    keys.add(file, "a", "read")
    before = file.stat().st_ino
    keys.add(file, "b", "admin")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.stat().st_ino != before, "replaced, not written into"
    assert [path.name for path in file.parent.iterdir()] == ["keys"]


def test_a_link_to_the_file_stays_one(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    keys.add(link, "a", "read")
    assert link.is_symlink()
    assert [key.name for key in keys.read(file)] == ["a"]


@pytest.mark.usefixtures("looking")
def test_a_revoked_key_is_refused_and_a_new_one_is_taken_without_a_restart(file: Path) -> None:
    secret = keys.add(file, "a", "read")
    keyring = Keyring(file)
    assert keyring.find(secret)
    keys.revoke(file, "a")
    assert keyring.find(secret) is None
    again = keys.add(file, "a", "admin")
    found = keyring.find(again)
    assert found is not None
    assert found.role == "admin"


@pytest.mark.usefixtures("looking")
@pytest.mark.parametrize("damage", ["nonsense\n", "a read abc\n", None, b"\xff\xfe", "x" * (keys.MAX_BYTES + 1)])
def test_a_broken_file_leaves_the_keys_as_they_were_and_says_so_once(
    file: Path, damage: str | bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    secret = keys.add(file, "a", "read")
    keyring = Keyring(file)
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage if isinstance(damage, bytes) else damage.encode())
    with caplog.at_level(logging.INFO, "app.keys"):
        for _ in range(3):
            assert keyring.find(secret)
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        file.write_text(line("b", "read", "other"))
        assert keyring.find(secret) is None
        assert keyring.find("other")
    assert caplog.records[-1].getMessage() == "read 1 keys"


def test_the_file_is_looked_at_once_a_second(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = keys.add(file, "a", "read")
    keyring = Keyring(file)
    keys.revoke(file, "a")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert keyring.find(secret)
    monkeypatch.setattr(time, "monotonic", lambda: now + keys.LOOK_SECONDS)
    assert keyring.find(secret) is None


def test_a_server_does_not_start_without_its_file(file: Path) -> None:
    with pytest.raises(KeysError, match="keys add makes it"):
        Keyring(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a read\n", "line 1: expected a name"),
        ("# fine\n\na owner " + 64 * "0", "line 3: expected a name, a role"),
        ("a read " + 63 * "0", "line 1"),
        ("a/b read " + 64 * "0", "line 1"),
        ("a read " + 64 * "0" + "\na write " + 64 * "1", "line 2: this name or this key"),
        ("a read " + 64 * "0" + "\nb write " + 64 * "0", "line 2: this name or this key"),
    ],
)
def test_what_is_no_key_is_named_by_its_line(text: str, said: str) -> None:
    with pytest.raises(KeysError, match=said):
        parse(text)


names = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=64)


@given(st.dictionaries(names, st.tuples(st.sampled_from(ROLES), st.text()), max_size=5))
def test_what_is_written_is_read(given_keys: dict[str, tuple[Role, str]]) -> None:
    by_secret = {secret: (name, role) for name, (role, secret) in given_keys.items() if not _lone(secret)}
    text = "".join(line(name, role, secret) for secret, (name, role) in by_secret.items())
    assert {key.name: key.role for key in parse(text)} == dict(by_secret.values())


def _lone(text: str) -> bool:
    return any(0xD800 <= ord(letter) < 0xE000 for letter in text)


def test_each_role_may_do_what_lesser_ones_may() -> None:
    allowed = {role: [needed for needed in ROLES if Key("k", role, "").may(needed)] for role in ROLES}
    assert allowed == {"read": ["read"], "write": ["read", "write"], "admin": ["read", "write", "admin"]}
    assert get_args(Role) == ROLES


# --- the commands -----------------------------------------------------------------------------------------------------


def run(*words: str, file: Path | None = None) -> Any:
    environment = {} if file is None else {"SPARROW_KEYS_FILE": str(file)}
    return CliRunner().invoke(cli, ["keys", *words], env=environment)


def test_a_key_is_made_listed_and_revoked(file: Path) -> None:
    made = run("add", "shop", "--role", "write", file=file)
    assert made.exit_code == 0
    secret = made.stdout.strip()
    found = Keyring(file).find(secret)
    assert found is not None
    assert found.name == "shop"
    listed = run("list", file=file)
    assert listed.stdout == "shop\twrite\n"
    assert run("revoke", "shop", file=file).exit_code == 0
    assert run("list", file=file).stdout == ""


def test_the_file_can_be_an_option(file: Path) -> None:
    assert run("add", "shop", "--role", "read", "--file", str(file)).exit_code == 0
    assert keys.read(file)[0].role == "read"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "shop", "--role", "read"), "there is a key named shop already"),
        (("add", "a b", "--role", "read"), "cannot be a name"),
        (("revoke", "nobody"), "there is no key named nobody"),
    ],
)
def test_what_cannot_be_is_said(file: Path, words: tuple[str, ...], said: str) -> None:
    keys.add(file, "shop", "read")
    before = file.read_bytes()
    answer = run(*words, file=file)
    assert isinstance(answer.exception, KeysError)
    assert said in str(answer.exception)
    assert file.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeysError, match="there is no folder"):
        keys.add(tmp_path / "gone" / "keys", "a", "read")


def test_a_full_disk_leaves_the_file_and_nothing_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.add(file, "a", "read")
    before = file.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keys.add(file, "b", "read")
    assert file.read_bytes() == before
    assert [path.name for path in file.parent.iterdir()] == ["keys"]
