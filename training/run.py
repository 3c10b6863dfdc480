"""Run directories: one execution of a recipe, with everything that came out of it.

    recipe.toml          the resolved recipe          checkpoint.json, checkpoint-*.npz   where the training is
    log.jsonl            one JSON object per epoch    items/items.jsonl                   properties, row-aligned
    embeddings/          what `publish` reads         popularity.npy                      users per item, float32
    metrics.json         the whole story in figures

metrics.json is written last, when all else is safe on disk: a directory that has it is a complete run.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from index import disk
from index.embeddings import SparseItemEmbeddings
from index.errors import SnapshotError
from index.types import Float32
from training import items, job, parallel, recipe, split
from training.checkpoint import Checkpoints, Progress
from training.errors import DataError, RunError
from training.interactions import Interactions, LoadReport
from training.items import ItemsReport, Properties
from training.recipe import Recipe
from training.trainer import Epoch, Monitor

METRICS = "metrics.json"
AGAIN = "remove the run directory and train again"


@dataclass(frozen=True)
class Material:
    """What a run works on."""

    interactions: Interactions
    """All of them, cleaned."""
    loaded: LoadReport
    """How they were cleaned."""
    properties: Sequence[Properties]
    """Of the items, row-aligned (n_items,)."""
    described: ItemsReport | None
    """How well the items are described; None without a file of items."""


@dataclass(frozen=True)
class Run:
    """What `publish` and `evaluate` need of a complete run."""

    embeddings: SparseItemEmbeddings
    """The artifact."""
    properties: Sequence[Properties]
    """Row-aligned (n_items,)."""
    popularity: Float32
    """Users per item (n_items,)."""


def fit(
    directory: Path, chosen: Recipe, material: Material, *, device: str, monitor: Monitor, resume: bool = False
) -> dict[str, Any]:
    """Train on all users but a small validation share; write the run directory; return what metrics.json holds.

    resume: go on from a checkpoint, or return the metrics of a run that is complete; begin if there is neither.
    Of several processes (see `parallel`) only the first writes.
    Raises RunError if the directory holds something else, DataError if there is nothing to choose from or to ask.
    """
    data, writes = material.interactions, parallel.rank() == 0
    if len(data.items) < 2:
        raise DataError(f"{material.loaded.file}: all interactions are with one item; with two there is a choice")
    divided = split.holdout(len(data.users), split.VALIDATION_SEED, share=chosen.evaluation.validation_share)
    own = fingerprint(recipe.resolved(chosen), data, material.properties)
    complete = _complete(directory, own, resume=resume) if writes else None
    if parallel.agreed(float(complete is not None)):
        return complete or {}
    checkpoints = Checkpoints(directory, own)
    kept = checkpoints.load()
    if writes:
        disk.replace(directory / "recipe.toml", lambda file: file.write(recipe.resolved(chosen).encode()))
        _write_log(directory, kept.progress if kept else None)
    done = job.run(
        chosen,
        data.matrix(),
        divided,
        items=data.items,
        device=device,
        kept=kept,
        checkpoints=checkpoints if writes else None,
        monitor=_Logging(directory / "log.jsonl", monitor) if writes else None,
    )
    made = done.model.embeddings(data.items, done.item_scale)
    figures = {**_metrics(chosen, material, divided, done), "embeddings": _size(made), "device": device}
    figures["fingerprint"] = own
    if writes:
        _write(directory, material, done, made, figures)
    return figures


def metrics(directory: Path) -> dict[str, Any]:
    """What metrics.json of a complete run holds. Raises RunError if there is none, or it is damaged."""
    if not directory.is_dir():
        raise RunError(f"{directory}: there is no such run; sparrow-train fit --run makes one")
    if not (directory / METRICS).is_file():
        raise RunError(f"{directory} is no complete run (it has no {METRICS}); sparrow-train fit --resume goes on")
    found: dict[str, Any] = _read_json(directory / METRICS)
    return found


def load(directory: Path) -> Run:
    """Read a complete run with embeddings. Raises RunError naming what is missing."""
    kind = metrics(directory)["recipe"]["model_name"]
    if not (directory / "embeddings").is_dir():
        raise RunError(
            f"{directory} is a run of {kind}, which has nothing to publish or to evaluate; fit {recipe.DEFAULT}"
        )
    embeddings = _read(directory / "embeddings", SparseItemEmbeddings.load)
    properties = _read(directory / "items" / "items.jsonl", items.reload)
    popularity = _read(directory / "popularity.npy", _load_popularity)
    for name, found in (("items/items.jsonl", len(properties)), ("popularity.npy", len(popularity))):
        if found != embeddings.n_items:
            raise RunError(f"{directory / name} is of {found} items, not {embeddings.n_items}; {AGAIN}")
    return Run(embeddings, properties, popularity)


def _load_popularity(path: Path) -> Float32:
    popularity = np.load(path, allow_pickle=False)
    if popularity.dtype != np.float32 or popularity.ndim != 1:
        raise ValueError(f"{popularity.dtype} of {popularity.shape}; must be float32 of one dimension")
    return np.asarray(popularity)


T = TypeVar("T")


def _read(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except (OSError, ValueError, EOFError, SnapshotError) as error:
        raise RunError(f"{path} is damaged ({error}); {AGAIN}") from error


@dataclass(frozen=True)
class _Logging:
    """A monitor that also appends to log.jsonl."""

    path: Path
    inner: Monitor

    def epoch(self, epoch: Epoch) -> None:
        self.inner.epoch(epoch)

    def step(self, loss: float) -> None:
        self.inner.step(loss)

    def record(self, record: Mapping[str, Any]) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        self.inner.record(record)


def refuse_occupied(directory: Path, *, resume: bool) -> None:
    """Raise RunError if a run cannot be written there.

    One that ended before anything was kept may be begun again without a word.
    """
    if directory.exists() and not directory.is_dir():
        raise RunError(f"{directory} is a file; name a directory as --run")
    lost = {"recipe.toml", "log.jsonl"}
    if directory.is_dir() and not resume and not {path.name for path in directory.iterdir()} <= lost:
        raise RunError(f"{directory} is not empty; go on there with --resume, or name another --run")


def _complete(directory: Path, own: str, *, resume: bool) -> dict[str, Any] | None:
    """Make the directory if it is missing; the metrics of a complete run that is to be resumed."""
    refuse_occupied(directory, resume=resume)
    directory.mkdir(parents=True, exist_ok=True)
    if not (directory / METRICS).is_file():
        return None
    found = metrics(directory)
    if found.get("fingerprint") != own:
        raise RunError(f"{directory} is a run of other data or another recipe; name another --run")
    return found


def fingerprint(resolved: str, data: Interactions, properties: Sequence[Properties]) -> str:
    """Of everything that decides the result: the resolved recipe, the pairs of ids and the properties."""
    hashed = hashlib.sha256(resolved.encode())
    for part in data.parts():
        hashed.update(part)
    for each in properties:
        hashed.update(json.dumps(each).encode())
    return hashed.hexdigest()


def _metrics(chosen: Recipe, material: Material, divided: split.Split, done: job.Job) -> dict[str, Any]:
    progress = done.progress
    return {
        "recipe": recipe.as_document(chosen),
        "data": asdict(material.loaded),
        "items": asdict(material.described) if material.described else None,
        "split": {"train_users": len(divided.train), "validation_users": len(divided.validation)},
        "validation": {
            "note": "measured on the users that chose epoch and shrinkage, so slightly optimistic; see RESULTS.md",
            **done.validation.summary(),
        },
        "chosen": {"epoch": progress.best_epoch if progress else None, "shrinkage": done.shrinkage},
        "epochs": list(progress.records) if progress else [],
        "seconds": round(done.seconds, 2),
    }


def _size(made: SparseItemEmbeddings | None) -> dict[str, int] | None:
    """How large the embeddings are, and how many dims no item uses; None for a model that is only measured."""
    if made is None:
        return None
    n_unused = made.n_dims - len(np.unique(made.decoder.dims))
    return {"n_dims": made.n_dims, "n_nonzeros": len(made.decoder.dims), "n_unused_dims": n_unused}


def _write(
    directory: Path,
    material: Material,
    done: job.Job,
    made: SparseItemEmbeddings | None,
    metrics: Mapping[str, Any],
) -> None:
    """Force everything to disk before the metrics, which say that it is there."""
    data = material.interactions
    if made is not None:
        names = ("recipe", "data", "split", "validation", "chosen", "fingerprint")
        described = replace(made, provenance={name: metrics[name] for name in names})
        _write_directory(directory / "embeddings", described.save)
    _write_directory(directory / "items", lambda made: items.save(made / "items.jsonl", material.properties))
    disk.replace(directory / "popularity.npy", lambda file: np.save(file, data.popularity(), allow_pickle=False))
    _write_log(directory, done.progress)
    document = json.dumps(metrics, indent=2, allow_nan=False).encode() + b"\n"
    disk.replace(directory / METRICS, lambda file: file.write(document))


def _write_directory(final: Path, write: Callable[[Path], object]) -> None:
    """Replace a directory with what `write` puts into an empty one, durably."""
    made = disk.temporary(final.parent, final.name)
    for leftover in (made, final):  # of an export that was cut short
        shutil.rmtree(leftover, ignore_errors=True)
    made.mkdir()
    write(made)
    disk.publish_directory(made, final)


def _write_log(directory: Path, progress: Progress | None) -> None:
    lines = "".join(json.dumps(each) + "\n" for each in (progress.records if progress else ()))
    disk.replace_text(directory / "log.jsonl", lines)


def _read_json(path: Path) -> Any:  # noqa: ANN401 (any JSON)
    return _read(path, lambda path: json.loads(path.read_text()))
