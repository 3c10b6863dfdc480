"""Print what pyproject.toml asks for, one requirement a line: an image installs it before the code is copied.

requirements.py build            what building the wheel needs
requirements.py run [EXTRA ...]  what running needs, and these extras
"""

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, purpose: str, extras: list[str]) -> list[str]:
    """The requirements for one purpose; KeyError for an unknown extra or purpose."""
    document = tomllib.loads(pyproject.read_text())
    wanted: dict[str, list[str]] = {
        "build": document["build-system"]["requires"],
        "run": document["project"]["dependencies"],
    }
    optional: dict[str, list[str]] = document["project"]["optional-dependencies"]
    return wanted[purpose] + [line for extra in extras for line in optional[extra]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path("pyproject.toml"), sys.argv[1], sys.argv[2:])) + "\n")
