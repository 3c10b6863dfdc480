"""A crash before each system call that changes the directory: what is served stays whole, the next writer works."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from index import builder, publication, snapshot
from index.builder import SnapshotContent

# Reads 'OPERATION ROOT N' lines; for each, a forked child runs the operation and dies at the N-th call.
CRASHER = """
import os, runpy, sys, warnings
from pathlib import Path
from index import builder, publication, snapshot

content = runpy.run_path(sys.argv[1])["content"]()
OPERATIONS = {
    "publish": lambda root: publication.publish(root, builder.write(root, content)),
    "rollback": lambda root: publication.rollback(root),
    "prune": lambda root: publication.prune(root, 1),
}

def count_down(left):
    def dying(real):
        def call(*args, **kwargs):
            left[0] -= 1
            if left[0] == 0:
                os._exit(137)
            return real(*args, **kwargs)
        return call
    for name in ("fsync", "rename", "replace", "mkdir", "unlink", "rmdir"):
        setattr(os, name, dying(getattr(os, name)))

for line in sys.stdin:
    operation, root, n = line.split()
    child = os.fork()
    if child == 0:
        count_down([int(n)])
        OPERATIONS[operation](Path(root))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

EACH, STRIDE = 8, 11


@pytest.fixture(scope="module")
def crasher() -> Iterator[subprocess.Popen[str]]:
    make = Path(__file__).parents[1] / "golden" / "make.py"
    command = [sys.executable, "-c", CRASHER, str(make)]
    quiet = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}  # a process that forks has one thread
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def crash(crasher: subprocess.Popen[str], operation: str, root: Path, n: int) -> bool:
    """Whether the operation died before its n-th call; False: it was through before that."""
    assert crasher.stdin is not None
    assert crasher.stdout is not None
    crasher.stdin.write(f"{operation} {root} {n}\n")
    crasher.stdin.flush()
    status = int(crasher.stdout.readline())
    assert status in (0, 137)
    return status == 137


def survives(crasher: subprocess.Popen[str], operation: str, root: Path, content: SnapshotContent, n: int) -> bool:
    """Whether there was an n-th call to die before; what is served is whole, and the next writer works."""
    died = crash(crasher, operation, root, n)
    served = publication.current(root)
    assert served is not None
    snapshot.verify(root, served)
    for version in publication.versions(root):
        snapshot.open_snapshot(root, version)
    # the next writer finds its way, and restores what the next round needs
    publication.unpin(root)
    assert not list(root.glob(".tmp-*"))
    publication.prune(root, 2)
    assert publication.publish(root, builder.write(root, content))
    return died


@pytest.mark.parametrize(("operation", "steps"), [("publish", 60), ("rollback", 6), ("prune", 40)])
def test_what_is_served_is_whole_after_a_crash_at_any_step(
    crasher: subprocess.Popen[str], tmp_path: Path, content: SnapshotContent, operation: str, steps: int
) -> None:
    """Each of the first and of the last steps; between them files are forced to disk or removed, one like the other."""
    versions = [builder.write(tmp_path, content) for _ in range(3)]
    assert publication.publish(tmp_path, versions[-1])
    n = 1
    while survives(crasher, operation, tmp_path, content, n):
        n += 1 if n < EACH else STRIDE
    assert n > steps
    for last in range(max(n - STRIDE - EACH, 1), n):
        survives(crasher, operation, tmp_path, content, last)
