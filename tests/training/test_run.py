"""Run directories: what is in them, what continues, what is refused; and the way to a published snapshot."""

import json
import os
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from index import publication, query, snapshot
from index.edits import NO_EDITS, Edits
from index.embeddings import SparseItemEmbeddings
from index.errors import InvalidEdits
from index.snapshot import Snapshot
from index.types import Array
from training import compare, console, datasets, interactions, items, job, recipe, release, run, trainer
from training.errors import DataError, RunError, TrainingError
from training.interactions import Filters
from training.job import Job
from training.later import Data
from training.protocols import Protocol
from training.recipe import Recipe
from training.run import Material
from training.split import Split

QUICK = ["training.epochs=2", "training.batch_size=64", "model.n_dims=256"]


@pytest.fixture(scope="module")
def material(books_file: Path) -> Material:
    data, loaded = interactions.load(books_file, filters=Filters(min_item_support=3))
    properties, described = items.load(datasets.bundled("goodbooks").items, data.items)
    return Material(data, loaded, properties, described)


@pytest.fixture(scope="module")
def quick() -> Recipe:
    return recipe.load("compressed-elsa", [*QUICK, "filters.min_item_support=3"])


def fit(directory: Path, chosen: Recipe, material: Material, *, resume: bool = False) -> dict[str, object]:
    return run.fit(directory, chosen, material, device="cpu", monitor=trainer.Silent(), resume=resume)


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory, quick: Recipe, material: Material) -> Path:
    directory = tmp_path_factory.mktemp("runs") / "complete"
    fit(directory, quick, material)
    return directory


def test_what_a_run_holds(complete: Path, quick: Recipe, material: Material) -> None:
    assert recipe.load(str(complete / "recipe.toml")) == quick
    metrics = json.loads((complete / "metrics.json").read_text())
    assert metrics["recipe"] == tomllib.loads((complete / "recipe.toml").read_text())
    assert metrics["data"]["interactions"] == len(material.interactions.user)
    assert metrics["data"]["dropped"][-1]["rows"] > 0
    assert metrics["items"]["without"] == 0
    assert metrics["split"] == {"train_users": 280, "validation_users": 20}
    assert 0 < metrics["validation"]["ndcg@100"] < 1
    assert "optimistic" in metrics["validation"]["note"]
    rows = run.load(complete).embeddings.decoder
    unused = 256 - len(set(rows.dims.tolist()))
    assert metrics["embeddings"] == {"n_dims": 256, "n_nonzeros": len(rows.dims), "n_unused_dims": unused}
    log = [json.loads(line) for line in (complete / "log.jsonl").read_text().splitlines()]
    assert log == metrics["epochs"]
    assert [each.get("score") is not None for each in log] == [False, True, True]
    scores = [f"{each['score']:.4f}" for each in log[1:]]
    assert console.curve(log).startswith(f"ndcg@100 by epoch: {scores[0]} ")
    assert console.curve(log).endswith(f" of epoch {metrics['chosen']['epoch']} is kept")
    assert console.curve(log[:1]) == ""
    assert log[metrics["chosen"]["epoch"] - 1 + 1]["score"] == max(each.get("score", 0) for each in log)


def test_what_publish_reads(complete: Path, material: Material) -> None:
    loaded = run.load(complete)
    data = material.interactions
    assert loaded.embeddings.items.item_ids(range(len(data.items))) == data.items.item_ids(range(len(data.items)))
    assert loaded.embeddings.n_dims == 256
    assert loaded.properties == material.properties
    assert loaded.popularity.dtype == np.float32
    assert np.array_equal(loaded.popularity, np.bincount(data.item, minlength=len(data.items)))
    assert loaded.embeddings.provenance["chosen"] == json.loads((complete / "metrics.json").read_text())["chosen"]


def test_a_complete_run_is_left_alone(complete: Path, quick: Recipe, material: Material) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    assert fit(complete, quick, material, resume=True) == json.loads((complete / "metrics.json").read_text())
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before


def test_an_interrupted_run_ends_as_the_undisturbed_one(
    complete: Path, quick: Recipe, material: Material, tmp_path: Path
) -> None:
    class InSecondEpoch(trainer.Silent):
        n_steps = 0

        def step(self, loss: float) -> None:
            del loss
            self.n_steps += 1
            if self.n_steps == 8:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.fit(tmp_path / "run", quick, material, device="cpu", monitor=InSecondEpoch())
    assert not (tmp_path / "run" / "metrics.json").exists()
    with pytest.raises(RunError, match=r"run is not empty; go on there with --resume, or name another --run"):
        fit(tmp_path / "run", quick, material)
    fit(tmp_path / "run", quick, material, resume=True)
    for name in ("decoder_values", "decoder_dims", "decoder_row_starts"):
        one, other = (np.load(each / "embeddings" / f"{name}.npy") for each in (complete, tmp_path / "run"))
        assert np.array_equal(one, other)
    keep = ("stage", "epoch", "loss", "score")
    logs = [
        [{k: v for k, v in json.loads(line).items() if k in keep} for line in text.splitlines()]
        for text in ((each / "log.jsonl").read_text() for each in (complete, tmp_path / "run"))
    ]
    assert logs[0] == logs[1]


def test_resuming_what_has_not_begun_begins(material: Material, tmp_path: Path) -> None:
    metrics = fit(tmp_path / "new", recipe.load("popularity"), material, resume=True)
    assert metrics["recipe"]["model_name"] == "popularity"  # type: ignore[index]


def test_two_users_are_enough_for_a_complete_run(tmp_path: Path) -> None:
    """A single validation user has no standard error; the document stays JSON."""
    (tmp_path / "a.csv").write_text("user_id,item_id\na,1\na,2\na,3\nb,1\nb,2\nb,3\n")
    data, loaded = interactions.load(tmp_path / "a.csv")
    few = Material(data, loaded, [{}, {}, {}], None)
    metrics = fit(tmp_path / "run", recipe.load("compressed-elsa", ["training.epochs=1"]), few)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == json.loads(json.dumps(metrics))
    assert metrics["validation"]["ndcg@100_se"] is None  # type: ignore[index]
    assert run.load(tmp_path / "run").embeddings.n_items == 3


def test_a_run_that_failed_before_anything_was_kept_may_be_begun_again(material: Material, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"model\.k = 300 is more than n_dims = 256; lower k or raise n_dims"):
        fit(tmp_path / "run", recipe.load("compressed-elsa", [*QUICK, "model.k=300"]), material)
    fit(tmp_path / "run", recipe.load("popularity"), material)
    assert not (tmp_path / "run" / "checkpoint.json").exists()
    with pytest.raises(RunError, match="is not empty"):
        fit(tmp_path / "run", recipe.load("popularity"), material)


POOR = [
    ("a,1\na,2\na,3\n", r"1 user cannot be split into training and validation; more are needed"),
    ("a,1\nb,1\nc,1\n", "few.csv: all interactions are with one item; with two there is a choice"),
    ("a,1\nb,2\nc,1\n", r"no held-out user has two items or more, .*leave out users with one item"),
]


@pytest.mark.parametrize(("rows", "says"), POOR)
def test_too_little_to_learn_from_is_refused(tmp_path: Path, rows: str, says: str) -> None:
    (tmp_path / "few.csv").write_text("user_id,item_id\n" + rows)
    data, loaded = interactions.load(tmp_path / "few.csv")
    with pytest.raises(DataError, match=says):
        fit(tmp_path / "run", recipe.load("compressed-elsa"), Material(data, loaded, [{}] * len(data.items), None))


def test_more_values_than_items_are_no_harm(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("user_id,item_id\n" + "".join(f"{u},{i}\n" for u in range(9) for i in "abc"))
    data, loaded = interactions.load(tmp_path / "few.csv")
    fit(tmp_path / "run", recipe.load("compressed-elsa", ["model.k=64"]), Material(data, loaded, [{}] * 3, None))
    rows = run.load(tmp_path / "run").embeddings.decoder
    assert np.diff(rows.row_starts).tolist() == [64] * 3


def test_a_finished_run_of_something_else_is_not_resumed(material: Material, tmp_path: Path) -> None:
    fit(tmp_path / "run", recipe.load("popularity"), material)
    with pytest.raises(RunError, match="is a run of other data or another recipe; name another --run"):
        fit(tmp_path / "run", recipe.load("popularity", ["training.seed=1"]), material, resume=True)


def test_resuming_with_another_recipe_is_refused(complete: Path, material: Material) -> None:
    other = recipe.load("compressed-elsa", [*QUICK, "model.k=8"])
    with pytest.raises(RunError, match="of other data or another recipe"):
        fit(complete, other, material, resume=True)
    assert recipe.load(str(complete / "recipe.toml")).model.k == 16


def test_a_run_that_is_not_complete_cannot_be_published(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is no complete run \(it has no metrics.json\); sparrow-train fit --resume"):
        run.load(tmp_path)


def test_a_run_that_is_not_there_and_one_that_is_a_file(tmp_path: Path, material: Material) -> None:
    with pytest.raises(RunError, match="absent: there is no such run; sparrow-train fit --run makes one"):
        run.load(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="file is a file; name a directory as --run"):
        fit(tmp_path / "file", recipe.load("popularity"), material)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("popularity.npy", b"", r"popularity.npy is damaged \(No data left in file\)"),
        ("popularity.npy", None, r"popularity.npy is damaged \(.*No such file"),
        ("embeddings/decoder_values.npy", None, r"embeddings is damaged \(.*decoder_values.npy is missing\)"),
        ("embeddings/decoder_values.npy", b"", r"embeddings is damaged \(.*decoder_values.npy is not an array"),
        ("embeddings/embeddings.json", b"", r"embeddings is damaged \(.*embeddings.json cannot be read"),
        ("items/items.jsonl", b"", r"items.jsonl is of 0 items, not \d+"),
        ("items/items.jsonl", b"{\n", r"items.jsonl is damaged \(Expecting"),
        ("metrics.json", b"", r"metrics.json is damaged \(Expecting"),
    ],
)
def test_a_damaged_run_is_refused_by_name(
    complete: Path, tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    shutil.copytree(complete, tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    if content is not None:
        (tmp_path / "run" / name).write_bytes(content)
    with pytest.raises(RunError, match=says + r".*; remove the run directory and train again$"):
        run.load(tmp_path / "run")


@pytest.mark.parametrize("popularity", [np.zeros(3, np.float64), np.zeros((3, 1), np.float32), np.zeros(3, np.float32)])
def test_popularity_of_something_else_is_refused(complete: Path, tmp_path: Path, popularity: Array) -> None:
    shutil.copytree(complete, tmp_path / "run")
    np.save(tmp_path / "run" / "popularity.npy", popularity)
    with pytest.raises(RunError, match=r"popularity.npy is (damaged|of 3 items).*; remove the run directory and train"):
        run.load(tmp_path / "run")


def test_a_run_is_forced_to_disk_before_it_looks_complete(
    quick: Recipe, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def name(found: os.stat_result) -> tuple[int, int]:
        return found.st_ino, found.st_mtime_ns  # a number alone is used again once a file is gone

    forced: list[tuple[int, int]] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        forced.append(name(os.fstat(descriptor)))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    fit(tmp_path / "run", quick, material)
    before = forced[: forced.index(name((tmp_path / "run" / "metrics.json").stat()))]
    written = {path.name: name(path.stat()) for path in (tmp_path / "run").rglob("*") if path.name != "metrics.json"}
    assert {"popularity.npy", "items.jsonl", "decoder_values.npy", "log.jsonl", "embeddings"} < written.keys()
    assert {path for path, found in written.items() if found not in before} == set()


def test_an_export_that_was_cut_short_is_made_anew(
    complete: Path, quick: Recipe, material: Material, tmp_path: Path
) -> None:
    shutil.copytree(complete, tmp_path / "run")
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "embeddings").rename(tmp_path / "run" / ".tmp-embeddings")
    (tmp_path / "run" / "items" / "items.jsonl").write_bytes(b"")
    fit(tmp_path / "run", quick, material, resume=True)
    assert run.load(tmp_path / "run").properties == material.properties
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in complete.iterdir()}


def test_the_users_who_validate_a_fit_are_those_of_compare(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So no user who ever judges chose anything, whatever the seeds."""
    seen: list[list[int]] = []
    real = job.run

    def watched(chosen: Recipe, histories: csr_array, divided: Split, **how: Any) -> Job:
        seen.append(divided.validation.tolist())
        return real(chosen, histories, divided, **how)

    monkeypatch.setattr(job, "run", watched)
    for seed in (0, 1, 42):
        fit(tmp_path / str(seed), recipe.load("popularity", [f"training.seed={seed}"]), material)
    again = {"popularity": recipe.load("popularity")}
    data, folds = Data(material.interactions, material.loaded, None), Protocol("folds")
    list(compare.trials(data, again, folds, seeds=2, groups=2, device="cpu", done=lambda _: None))
    assert len(seen) == 3 + 4
    assert all(each == seen[0] for each in seen)


def test_a_model_without_embeddings_cannot_be_published(material: Material, tmp_path: Path) -> None:
    fit(tmp_path / "run", recipe.load("popularity"), material)
    with pytest.raises(RunError, match=r"is a run of popularity, which has nothing to publish or to evaluate; fit"):
        run.load(tmp_path / "run")


def test_publishing_and_publishing_again_while_pinned(complete: Path, material: Material, tmp_path: Path) -> None:
    steps: list[str] = []
    first = release.publish(complete, tmp_path, steps.append)
    assert len(steps) == release.N_STEPS
    assert first.current
    assert publication.current(tmp_path) == first.version
    stored = snapshot.open_snapshot(tmp_path, first.version)
    assert stored.items.item_ids([0, 1]) == material.interactions.items.item_ids([0, 1])
    assert stored.manifest.n_segments == first.n_segments > 0
    publication.rollback(tmp_path, first.version)
    again = release.publish(complete, tmp_path, steps.append)
    assert not again.current
    assert publication.current(tmp_path) == first.version
    assert again.n_carried >= first.n_segments / 2
    one, other = (snapshot.open_snapshot(tmp_path, each.version).segments for each in (first, again))
    ids, ids_again = ({each.segment_id for each in segments.segments} for segments in (one, other))
    assert len(ids & ids_again) == again.n_carried


def test_edits_are_built_in_and_live_on_and_change_nobodys_identity(complete: Path, tmp_path: Path) -> None:
    def published(root: str, edits: Edits = NO_EDITS) -> tuple[release.Released, Snapshot]:
        made = release.publish(complete, tmp_path / root, lambda _: None, edits=edits)
        return made, snapshot.verify(tmp_path / root, made.version)

    def ids(of: Snapshot) -> list[str]:
        return [each.segment_id for each in of.found_segments.segments]

    (first, before), (second, after) = published("plain"), published("plain")
    assert (first.n_edited, second.n_edited, second.n_waiting) == (0, 0, 0)
    one, other, third = [each for each in ids(before) if each in ids(after)][:3]
    said: Edits = {
        one: {"title": "Retitled"},
        other: {"merged_into": one},
        third: {"hidden": True},
        "gone": {"title": "x"},
    }
    first, before = published("edited", {**said, one: {"title": "Retitled", "hidden": False, "merged_into": None}})
    assert (first.n_edited, first.n_waiting, before.built_edits) == (3, 1, said)
    second, edited = published("edited")
    assert ids(edited) == ids(after)
    groups = {each.group_id for each in before.found_segments.groups}
    assert {each.group for each in before.found_segments.segments} == groups
    later = {each.group_id for each in edited.found_segments.groups}
    assert 2 * len(groups & later) > len(groups)
    assert edited.found_segments.retired_groups == groups - later
    assert (second.n_edited, second.n_waiting, edited.built_edits) == (3, 1, said)
    assert edited.segments.segments[edited.segments.number(one) or 0].title == "Retitled"
    assert (edited.segments.n_hidden, edited.segments.merged) == (1, {other: one})
    _, undone = published("edited", {other: {"merged_into": None}})
    assert undone.built_edits == {each: edit for each, edit in said.items() if each != other}
    with pytest.raises(InvalidEdits, match="leads back"):
        published("edited", {one: {"merged_into": one}})


def test_publishing_int8(complete: Path, tmp_path: Path) -> None:
    plain = release.publish(complete, tmp_path, lambda _: None)
    coded = release.publish(complete, tmp_path, lambda _: None, values="int8")
    assert coded.current
    one, other = (snapshot.verify(tmp_path, each.version) for each in (plain, coded))
    assert (one.manifest.values, other.manifest.values) == ("float32", "int8")
    decoder = other.embeddings.decoder
    assert [each.embeddings.decoder.values.dtype.name for each in (one, other)] == ["float32", "int8"]
    assert decoder.steps is not None
    half_steps = decoder.steps * np.float32(0.5 + 1e-6)
    for row in range(one.embeddings.n_items):
        error = np.abs(decoder.dense_row(row) - one.embeddings.decoder.dense_row(row))
        assert np.all(error <= half_steps[row])
    for found in (one, other):
        assert found.manifest.n_segments > 0
        assert [segment.size for segment in found.segments.segments]
    user = query.encode(other.embeddings, np.array([0, 1], np.int32), np.ones(2, np.float32))
    near = [each.searcher.top_n(user, 10) for each in (one, other)]
    assert len(np.intersect1d(near[0].items, near[1].items)) >= 8


def garbage(root: Path, version: str) -> None:
    del version
    (root / "CURRENT").write_bytes(b"\xff no version\n")


def missing(root: Path, version: str) -> None:
    del version
    (root / "CURRENT").write_text("20200101T000000Z-00000000\n")


def truncated(root: Path, version: str) -> None:
    (root / version / "popularity.npy").write_bytes(b"")


def of_another_format(root: Path, version: str) -> None:
    path = root / version / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))


@pytest.mark.parametrize(
    ("spoil", "says", "others"),
    [
        (garbage, "which is not a version", 1),
        (missing, "is not stored in", 1),
        (truncated, "popularity.npy has 0 bytes", 0),
        (of_another_format, "format 99", 0),
    ],
)
def test_publishing_over_a_broken_current_snapshot(
    complete: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Path, str], None],
    says: str,
    others: int,
) -> None:
    """The way out of a broken snapshot is to publish again; ids live on where another stored one can be read."""
    first = release.publish(complete, tmp_path, lambda _: None)
    spoil(tmp_path, first.version)
    again = release.publish(complete, tmp_path, lambda _: None)
    (warning,) = caplog.messages
    assert warning.startswith("the current snapshot cannot be read (")
    assert says in warning
    assert warning.endswith(f"carried on from {first.version}" if others else "ids of segments are new")
    assert "\n" not in warning
    assert again.current
    assert publication.current(tmp_path) == again.version
    assert (again.n_carried >= first.n_segments / 2) if others else (again.n_carried == 0)


def test_embeddings_are_what_index_reads(complete: Path) -> None:
    loaded = SparseItemEmbeddings.load(complete / "embeddings")
    lengths = np.diff(loaded.decoder.row_starts)
    assert set(lengths.tolist()) <= {0, 16}
