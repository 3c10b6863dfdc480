"""The real model behind every benchmark: our own recipe on the bundled books, and readers that it has not seen."""

import hashlib
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import cache
from index import arrays, segments
from index.embeddings import SparseItemEmbeddings
from index.types import Float32, Int32
from training import datasets, evaluate, interactions, recipe, run, split
from training.items import Properties

N_DIMS, K = 2048, 16
"""Of the item codes: what the study used. The recipe's own n_dims follows the number of users, and would be 4096."""


@dataclass(frozen=True)
class Model:
    """What was trained, and who was held out."""

    embeddings: SparseItemEmbeddings
    """Of the 9,882 books."""
    properties: Sequence[Properties]
    """Of each item."""
    popularity: Float32
    """Readers of each item, (n_items,)."""
    histories: tuple[Int32, ...]
    """Item rows of each validation reader, ascending."""
    segments: tuple[Int32, ...]
    """Item rows of each segment that the model gives."""


def open_model(directory: Path, root: Path) -> Model:
    """Load a run directory; one that is not complete is trained first, in a process of its own.

    Its segments are found once and kept under `root`.
    """
    if not (directory / run.METRICS).is_file():
        _train(directory)
    trained = run.load(directory)
    data, _ = interactions.load(datasets.bundled("goodbooks").interactions)
    if not np.array_equal(data.items.id_bytes, trained.embeddings.items.id_bytes):
        raise ValueError(f"{directory} was not trained on the bundled books; name another --run, or none")
    share = recipe.load(recipe.DEFAULT, []).evaluation.validation_share
    held_out = split.holdout(len(data.users), split.VALIDATION_SEED, share=share).validation
    matrix = data.matrix()
    histories = tuple(evaluate.row(matrix, user) for user in held_out.tolist())
    return Model(trained.embeddings, trained.properties, trained.popularity, histories, _segments(trained, root))


def _segments(trained: run.Run, root: Path) -> tuple[Int32, ...]:
    def make(directory: Path) -> None:
        found = [each.items for each in segments.find(trained.embeddings, trained.popularity)]
        starts = np.cumsum([0, *map(len, found)], dtype=np.int64)
        arrays.save(directory, {"starts": starts, "items": np.concatenate(found)})

    digest = hashlib.blake2b(trained.embeddings.decoder.values.tobytes(), digest_size=6).hexdigest()
    directory = cache.directory(root, f"segments-{digest}", make)
    starts = arrays.load(directory, "starts", np.int64)
    items = arrays.load(directory, "items", np.int32, length=int(starts[-1]))
    return tuple(np.split(items, starts[1:-1]))


def _train(directory: Path) -> None:
    options = ["--dataset", "goodbooks", "--run", str(directory), "--resume"]
    settings = ["--set", f"model.n_dims={N_DIMS}", "--set", f"model.k={K}"]
    command = [sys.executable, "-m", "training", "fit", *options, *settings, "--device", "cpu"]
    done = subprocess.run(command, stdout=sys.stderr, check=False)
    if done.returncode:
        raise ChildProcessError(f"training the model in {directory} failed with exit code {done.returncode}, see above")
