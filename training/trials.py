"""Trials: one recipe fitted and judged in one round, and those of earlier comparisons, kept on disk.

A trial is kept under a fingerprint of everything that decides it but the code: the data, the resolved recipe with its
seed, how was asked, and which group judged. So a comparison that was cut short goes on where it stopped, and one with
another recipe fits that recipe only. Figures of users are kept whole, so that any two trials can be paired.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from index import disk
from index.types import Array, Int32
from training import recipe
from training.errors import RunError
from training.evaluate import METRICS, Evaluation
from training.figures import PerUser
from training.protocols import Protocol
from training.recipe import Recipe


@dataclass(frozen=True)
class Trial:
    """One recipe on one group of one seed."""

    name: str
    """Of the recipe."""
    seed: int
    """Of the groups, and of the fit."""
    group: int
    """Number of the test group."""
    test: Evaluation
    """What the group's users say."""
    facts: Mapping[str, Any]
    """What was chosen, what it took, and what was asked."""


def fingerprint(data: str, seeded: Recipe, protocol: Protocol, test_share: float, group: int, *, int8: bool) -> str:
    """Of everything that decides the trials of one fit but the code; `data` is the fingerprint of the interactions."""
    decides = [data, recipe.resolved(seeded), asdict(protocol), test_share, group, int8]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Archive:
    """Trials of earlier comparisons, those of one fit a file."""

    directory: Path
    """Where; made when the first is kept."""

    def find(self, key: str) -> list[Trial]:
        """The trials of that fingerprint; empty if there are none. RunError if they are damaged."""
        path = self._path(key)
        if not path.exists():
            return []
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
                about, users, figures = json.loads(str(kept["about"])), kept["users"], kept["figures"]
            return [_trial(each, users, own) for each, own in zip(about, figures, strict=True)]
        except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile) as error:
            raise RunError(f"{path} is damaged ({error}); remove it, and it is measured again") from error

    def keep(self, key: str, trials: Sequence[Trial]) -> None:
        """Write the trials of one fit, durably and at once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        about = np.array(json.dumps([_about(each) for each in trials]))
        figures = np.stack([_figures(each.test) for each in trials])
        users = trials[0].test.users
        disk.replace(
            self._path(key),
            lambda file: np.savez(file, allow_pickle=False, about=about, users=users, figures=figures),
        )

    def _path(self, key: str) -> Path:
        return self.directory / f"{key}.npz"


def _about(trial: Trial) -> dict[str, Any]:
    asked = {"coverage": trial.test.coverage, "n_questions": trial.test.n_questions}
    return {"name": trial.name, "seed": trial.seed, "group": trial.group, "facts": dict(trial.facts), **asked}


def _figures(test: Evaluation) -> Array:
    """Value and weight of every user by metric, (n_metrics, 2, n_users)."""
    return np.stack([np.stack([test.per_user[metric].values, test.per_user[metric].weights]) for metric in METRICS])


def _trial(about: Mapping[str, Any], users: Int32, figures: Array) -> Trial:
    per_user = {name: PerUser(users, *own) for name, own in zip(METRICS, figures, strict=True)}
    test = Evaluation(per_user, about["coverage"], about["n_questions"])
    return Trial(about["name"], about["seed"], about["group"], test, about["facts"])
