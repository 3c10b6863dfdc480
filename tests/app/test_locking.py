"""Locking memory, in processes of its own: what is locked stays so."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory can be locked on Linux only")

LOCKED = """
import mmap, sys
from pathlib import Path
from app.locking import lock_memory

def locked_kib():
    return int(Path("/proc/self/status").read_text().partition("VmLck:")[2].split()[0])

assert locked_kib() == 0
lock_memory()
before = locked_kib()
with open(sys.argv[1], "rb") as file:
    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
print(before, locked_kib() - before)
"""

STRANGER = """
import os, resource
from app.locking import CannotLock, check_lockable
if os.geteuid() == 0:
    os.setuid(65534)
resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, 65536))
try:
    check_lockable()
except CannotLock as error:
    print(error)
"""


def run(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.skipif(
    os.geteuid() != 0 and resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY,
    reason="nobody may lock so much here",
)
def test_what_is_there_and_what_is_mapped_later_is_locked(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(bytes(2**22))
    before, more = map(int, run(LOCKED, str(tmp_path / "index")).split())
    assert before > 1000
    assert more >= 4096


def test_who_may_not_is_told_the_limit_and_what_to_do() -> None:
    told = run(STRANGER)
    assert "the limit is 65536 bytes" in told
    assert "unset SPARROW_LOCK_MEMORY" in told
