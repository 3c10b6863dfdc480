"""What ran the benchmarks: without it, a figure says nothing."""

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np

from benchmarks import peers
from index import _kernel
from index.types import JSON

ROOT = Path(__file__).parents[1]


def describe() -> dict[str, JSON]:
    """Processor, memory, versions, commit and load, as JSON."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "levels": list(_kernel.levels()),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "sparrow": metadata.version("sparrow-recs"),
        "commit": commit("index"),
        "peers": dict(peers.versions()),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def commit(*rooms: str) -> str:
    """The commit of this checkout, with + if benchmarks/ or `rooms` differ from it; "unknown" outside a checkout."""
    named = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "benchmarks", *rooms)
    return f"{named}+" if named and changed else named or "unknown"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu() -> str:
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return model or platform.processor() or platform.machine()
