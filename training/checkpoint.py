"""Checkpoints: everything a training needs to go on, replaced atomically after every epoch, and within long ones.

Arrays go to `checkpoint-STAGE-EPOCH-STEP.npz`, the rest to `checkpoint.json`, which names it. Both are written under a
temporary name, forced to disk and renamed, the JSON last: it is the commit. A crash at any point leaves the checkpoint
before or this one.
"""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from index import disk
from index.types import Array
from training.errors import RunError

FILE = "checkpoint.json"
INTERVAL = 300.0
"""Seconds of an epoch that are lost at most, but for the step that is being made."""


@dataclass(frozen=True)
class Progress:
    """Where a training is."""

    stage: int
    """Number of the stage."""
    epoch: int
    """Epochs of the stage that are done."""
    best_score: float | None
    """The best validation score of the stage so far."""
    best_epoch: int
    """The epoch (from 1) that reached it; 0: none."""
    finished: bool
    """Whether nothing is left to do."""
    records: tuple[Mapping[str, Any], ...]
    """One line of log.jsonl per epoch."""
    seconds: float = 0.0
    """Spent on the epoch that has begun; 0: none has."""


@dataclass(frozen=True)
class Checkpoint:
    """What is kept."""

    progress: Progress
    """Where the training is."""
    state: Mapping[str, Array]
    """Of the learner."""
    best: Mapping[str, Array]
    """Its result at the best epoch; empty before a validated one."""
    losses: Array = field(default_factory=lambda: np.empty(0))
    """Of the steps that are done of the epoch that has begun, (n_steps,)."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint of one run."""

    directory: Path
    """Of the run."""
    fingerprint: str
    """Of data and recipe: another one's checkpoint is refused."""
    interval: float = INTERVAL
    """Seconds between two checkpoints of one epoch."""

    def save(self, kept: Checkpoint) -> None:
        """Replace the checkpoint."""
        name = f"checkpoint-{kept.progress.stage}-{kept.progress.epoch}-{len(kept.losses)}.npz"
        arrays = {f"state/{key}": value for key, value in kept.state.items()}
        arrays |= {f"best/{key}": value for key, value in kept.best.items()}
        arrays["losses"] = kept.losses
        disk.replace(self.directory / name, lambda file: np.savez(file, allow_pickle=False, **arrays))
        document = {"fingerprint": self.fingerprint, "arrays": name, **asdict(kept.progress)}
        disk.replace(self.directory / FILE, lambda file: file.write(json.dumps(document).encode()))
        for old in self.directory.glob("*checkpoint-*"):
            if old.name != name:
                old.unlink()

    def load(self) -> Checkpoint | None:
        """The checkpoint, None if there is none yet; RunError if it is damaged or of other data or another recipe."""
        path = self.directory / FILE
        if not path.is_file():
            return None
        try:
            document = json.loads(path.read_text())
            fingerprint, name = document.pop("fingerprint"), document.pop("arrays")
            progress = Progress(**{**document, "records": tuple(document["records"])})
            with (self.directory / name).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                arrays = {key: stored[key] for key in stored.files}
            losses = arrays.pop("losses")
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise RunError(f"{path} is damaged ({error}); remove the run directory and train again") from error
        if fingerprint != self.fingerprint:
            raise RunError(
                f"{self.directory} holds a checkpoint of other data or another recipe; resume with the same ones, or "
                "name another --run"
            )
        state, best = ({k[len(p) :]: v for k, v in arrays.items() if k.startswith(p)} for p in ("state/", "best/"))
        return Checkpoint(progress, state, best, losses)
