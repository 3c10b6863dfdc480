"""Who is asked by what: snapshots that were fitted without the readers who judge them.

Test readers are those of `compare`: groups drawn by seed, or everybody with interactions after a moment. Validation
readers are those of `fit`, for tuning. A round's snapshot is fitted and published once, and kept under a hash of all
that decides it but the code.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from scipy.sparse import csr_array

from index import publication
from index.types import Float32, Int32
from training import compare, job, protocols, release, run, split
from training.compare import Round
from training.errors import TrainingError
from training.items import Properties
from training.later import Data
from training.protocols import Protocol
from training.recipe import Recipe, resolved
from training.split import Question

Readers = Literal["test", "validation"]
READERS: tuple[Readers, ...] = get_args(Readers)


class Material(NamedTuple):
    """What is fitted to, and what is known about its items."""

    data: Data
    properties: Sequence[Properties]
    """Row-aligned, (n_items,)."""


class Turn(NamedTuple):
    """One round of one seed."""

    seed: int
    group: int
    round: Round


def turns(data: Data, seeds: int, *, groups: int, readers: Readers, validation: float) -> Iterator[Turn]:
    """The rounds of all seeds. validation: the share of users who choose epoch and item scale.

    Raises DataError as the protocols do.
    """
    how = Protocol("folds" if data.later is None else "given")
    for seed in range(seeds):
        if readers == "validation" and data.later is None:
            divided = split.holdout(len(data.known.users), split.VALIDATION_SEED, share=validation)
            exam = protocols.hold_out(how, data.known.matrix(), divided.validation, seed)
            yield Turn(seed, 0, Round(divided, exam))
        else:
            for group, each in enumerate(compare.rounds(data, how, seed, groups=groups, validation=validation)):
                yield Turn(seed, group, each)


def drawn(turn: Turn, most: int) -> list[Question]:
    """The questions of at most so many users; of more these are drawn by seed."""
    asked = turn.round.exam.questions
    users = np.unique([each.user for each in asked])
    if len(users) <= most:
        return list(asked)
    chosen = set(np.random.default_rng(turn.seed).choice(users, most, replace=False).tolist())
    return [each for each in asked if each.user in chosen]


def held_out(data: Data, divided: split.Split) -> csr_array:
    """What no weight was fitted to, binary (n_users, n_items): readers who did not train, or what came later."""
    known, later = data.known, data.later
    if later is None:
        left = ~np.isin(known.user, divided.train)
        return _binary(known.user[left], known.item[left], len(known.users), len(known.items))
    left = later.item < later.n_items
    return _binary(later.user[left], later.item[left], int(later.user.max()) + 1, later.n_items)


def _binary(users: Int32, items: Int32, n_users: int, n_items: int) -> csr_array:
    return csr_array((np.ones(len(users), np.float32), (users, items)), shape=(n_users, n_items))


def popularity(data: Data, divided: split.Split) -> Float32:
    """Users of the training per item, (n_items,)."""
    return np.asarray(data.known.matrix()[divided.train].sum(axis=0), np.float32)


def published(material: Material, seeded: Recipe, divided: split.Split, kept: Path) -> Path:
    """A folder of snapshots of the recipe, fitted to the training users; below `kept`, where it may be already."""
    folder = kept / _fingerprint(material, seeded, divided)
    if publication.current(folder) is None:
        known = material.data.known
        fitted = job.run(seeded, known.matrix(), divided, items=known.items)
        embeddings = fitted.model.embeddings(known.items, fitted.item_scale)
        if embeddings is None:
            raise TrainingError(f"{seeded.model_name} has nothing to publish, so there is no server to ask")
        made = run.Run(embeddings, material.properties, popularity(material.data, divided))
        release.release(made, folder, lambda _: None)
    return folder


def seeded(recipe: Recipe, seed: int) -> Recipe:
    """The recipe with another seed."""
    return replace(recipe, training=replace(recipe.training, seed=seed))


def _fingerprint(material: Material, seeded: Recipe, divided: split.Split) -> str:
    own = run.fingerprint(resolved(seeded), material.data.known, material.properties)
    return hashlib.sha256(own.encode() + divided.train.tobytes() + divided.validation.tobytes()).hexdigest()[:32]
