"""kill -9 at random moments of a publishing process: `python tests/index/test_kill9.py 50` for 50 times."""

import json
import random
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path

from index import builder, publication, snapshot
from index.errors import UnknownVersion

GOLDEN = Path(__file__).parents[1] / "golden" / "make.py"


@dataclass
class Tally:
    """What was seen while a publisher was killed again and again."""

    kills: int = 0
    """Publishers killed."""
    opened: int = 0
    """Times that the current snapshot was opened and verified while a publisher ran."""
    published: int = 0
    """Times that a reader saw another version become current."""
    leftovers: int = 0
    """Kills that left something half-made for the next writer to remove."""


def publish_for_ever(root: Path) -> None:
    """What the victim does."""
    content = runpy.run_path(str(GOLDEN))["content"]()
    print("ready", flush=True)  # noqa: T201
    for number in count():
        publication.publish(root, builder.write(root, content))
        if number == 0:
            print("published", flush=True)  # noqa: T201
        publication.prune(root, 3)


def read(root: Path, tally: Tally, last: str | None) -> str:
    """Open and verify what is current, as a server would."""
    while True:
        version = publication.current(root)
        assert version is not None
        try:
            snapshot.verify(root, version)
        except UnknownVersion:
            if version == publication.current(root):  # else it was replaced and pruned between two steps of ours
                raise
            continue
        tally.opened += 1
        tally.published += version != last
        return version


def kill_often(root: Path, kills: int, seed: int) -> Tally:
    """Start a publisher, read along, kill it at a random moment, and see that a complete snapshot is current."""
    moments = random.Random(seed)
    tally = Tally()
    last: str | None = None
    publication.publish(root, builder.write(root, runpy.run_path(str(GOLDEN))["content"]()))
    for number in range(kills):
        victim = subprocess.Popen([sys.executable, __file__, "--publish", str(root)], stdout=subprocess.PIPE)
        with victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"ready\n"
            if number % 2:  # half of the victims live to publish once, the others may not
                assert victim.stdout.readline() == b"published\n"
            end = time.monotonic() + moments.uniform(0, 0.4)
            while time.monotonic() < end:
                last = read(root, tally, last)
            victim.kill()
        assert victim.returncode == -signal.SIGKILL  # it ran until then
        tally.kills += 1
        tally.leftovers += any(root.glob(".tmp-*"))
        last = read(root, tally, last)
    publication.publish(root, builder.write(root, runpy.run_path(str(GOLDEN))["content"]()))
    assert not list(root.glob(".tmp-*"))
    return tally


def test_a_complete_snapshot_is_current_after_every_kill(tmp_path: Path) -> None:
    tally = kill_often(tmp_path / "snapshots", kills=8, seed=1)
    assert tally.kills == 8
    assert tally.opened >= 8
    assert tally.published >= 4  # each that said so, and maybe more


def main() -> None:
    """Serve as the victim, or run with the given number of kills and print what was seen."""
    if sys.argv[1] == "--publish":
        publish_for_ever(Path(sys.argv[2]))
    with tempfile.TemporaryDirectory() as directory:
        tally = kill_often(Path(directory) / "snapshots", kills=int(sys.argv[1]), seed=time.time_ns())
    print(f"a complete snapshot was current at every look: {json.dumps(asdict(tally))}")  # noqa: T201


if __name__ == "__main__":
    main()
