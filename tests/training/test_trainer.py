"""Stages, stopping, checkpoints: an interrupted training ends where an undisturbed one does, bit for bit."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from training import trainer
from training.checkpoint import Checkpoint, Checkpoints, Progress
from training.errors import RunError, TrainingError
from training.models import compressae, compressed_elsa, elsa
from training.models.learner import Fitted, Learner, Optimiser, Stage
from training.trainer import Epoch, Schedule, Trained

SCHEDULE = Schedule(seed=5, batch_size=40, patience=2)


def make_elsa(histories: csr_array) -> Learner:
    return elsa.Elsa(histories, elsa.Settings(n_dims=16), Optimiser(), epochs=3, seed=5)


def make_compressed(histories: csr_array) -> Learner:
    settings = compressed_elsa.Settings(k=8, n_dims=64, start_k=32)
    return compressed_elsa.CompressedElsa(histories, settings, Optimiser(), epochs=2, seed=5)


def make_pruned(histories: csr_array) -> Learner:
    settings = compressed_elsa.Settings(k=8, n_dims=64, schedule="exponential", restart=False, query_dims=20)
    return compressed_elsa.CompressedElsa(histories, settings, Optimiser(relative=True), epochs=2, seed=5)


def make_constant(histories: csr_array) -> Learner:
    settings = compressed_elsa.Settings(k=8, n_dims=64, schedule="constant", non_negative=True)
    return compressed_elsa.CompressedElsa(histories, settings, Optimiser(), epochs=2, seed=5)


def make_sampled(histories: csr_array) -> Learner:
    settings = compressed_elsa.Settings(k=8, n_dims=64, start_k=16, n_outputs=30)
    return compressed_elsa.CompressedElsa(histories, settings, Optimiser(), epochs=2, seed=5)


def make_compressae(histories: csr_array) -> Learner:
    settings = compressae.Settings(k=4, n_dims=64, dense_dims=16, dense_epochs=2, step_items=20, histories=True)
    return compressae.CompresSae(histories, settings, Optimiser(), epochs=2, seed=5)


LEARNERS = [make_elsa, make_pruned, make_constant, make_sampled, make_compressed, make_compressae]
Make = Callable[[csr_array], Learner]


def growing(start: int = 0) -> Callable[[Fitted], float]:
    """A validation score that gets better all the time."""
    scores = iter(range(start, start + 100))
    return lambda _: float(next(scores))


class Interrupted(trainer.Silent):
    """Stops the training in a step, as Ctrl-C would."""

    def __init__(self, at_step: int) -> None:
        self.left = at_step

    def step(self, loss: float) -> None:
        del loss
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt


def equal(one: Trained, other: Trained) -> bool:
    return one.result.keys() == other.result.keys() and all(
        np.array_equal(one.result[name], other.result[name]) for name in one.result
    )


@pytest.mark.parametrize("make", LEARNERS)
def test_resuming_gives_the_undisturbed_result(make: Make, checkerboard: csr_array, tmp_path: Path) -> None:
    """Interrupted in every epoch in turn, within and at the end: the first, those that enter a stage, the last."""
    undisturbed = trainer.train(make(checkerboard), checkerboard, SCHEDULE, growing())
    n_steps = 3 * len(undisturbed.progress.records)
    for at_step in (step for step in range(n_steps) if step % 3):
        run = tmp_path / str(at_step)
        run.mkdir()
        checkpoints = Checkpoints(run, "same")
        with pytest.raises(KeyboardInterrupt):
            trainer.train(
                make(checkerboard),
                checkerboard,
                SCHEDULE,
                growing(),
                checkpoints=checkpoints,
                monitor=Interrupted(at_step),
            )
        kept = checkpoints.load()
        assert kept is not None
        assert (len(kept.progress.records), len(kept.losses)) == (at_step // 3, at_step % 3 + 1)
        resumed = trainer.train(
            make(checkerboard),
            checkerboard,
            SCHEDULE,
            growing(len(kept.progress.records)),
            kept=kept,
            checkpoints=checkpoints,
        )
        assert equal(resumed, undisturbed)
        assert [r["loss"] for r in resumed.progress.records] == [r["loss"] for r in undisturbed.progress.records]


@pytest.mark.parametrize("make", LEARNERS)
def test_a_long_epoch_is_kept_in_parts(make: Make, checkerboard: csr_array, tmp_path: Path) -> None:
    """Every step is kept as if it had taken minutes; from each of these checkpoints the way goes to the same end."""
    stored: list[Checkpoint] = []

    class Stored(Checkpoints):
        def save(self, kept: Checkpoint) -> None:
            super().save(kept)
            found = self.load()
            assert found is not None
            stored.append(found)

    undisturbed = trainer.train(
        make(checkerboard), checkerboard, SCHEDULE, growing(), checkpoints=Stored(tmp_path, "same", interval=0)
    )
    n_epochs = len(undisturbed.progress.records)
    assert [len(each.losses) for each in stored] == [1, 2, 3, 0] * n_epochs
    assert all((each.progress.seconds > 0) == (len(each.losses) > 0) for each in stored)
    for kept in stored[1::4]:
        score = growing(len(kept.progress.records))
        assert equal(trainer.train(make(checkerboard), checkerboard, SCHEDULE, score, kept=kept), undisturbed)


def test_epochs_that_are_short_are_kept_when_they_end(checkerboard: csr_array, tmp_path: Path) -> None:
    steps: list[str] = []

    class Watching(trainer.Silent):
        def step(self, loss: float) -> None:
            del loss
            steps.extend(path.name for path in tmp_path.glob("*.npz"))

    trainer.train(
        make_elsa(checkerboard),
        checkerboard,
        SCHEDULE,
        growing(),
        checkpoints=Checkpoints(tmp_path, "same"),
        monitor=Watching(),
    )
    assert steps == ["checkpoint-0-1-0.npz"] * 3 + ["checkpoint-0-2-0.npz"] * 3


def test_epochs_are_announced_as_a_part_of_the_whole(checkerboard: csr_array) -> None:
    seen: list[Epoch] = []

    class Listening(trainer.Silent):
        def epoch(self, epoch: Epoch) -> None:
            seen.append(epoch)

    trainer.train(make_compressed(checkerboard), checkerboard, SCHEDULE, growing(), monitor=Listening())
    assert [(each.number, each.before, each.of, each.n_steps, each.n_done) for each in seen] == [
        (1, 0, 4, 3, 0), (1, 1, 4, 3, 0), (1, 2, 4, 3, 0), (2, 3, 4, 3, 0),
    ]  # fmt: skip


def test_a_finished_training_is_not_run_again(checkerboard: csr_array, tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "same")
    first = trainer.train(make_elsa(checkerboard), checkerboard, SCHEDULE, growing(), checkpoints=checkpoints)
    again = trainer.train(
        make_elsa(checkerboard), checkerboard, SCHEDULE, growing(), kept=checkpoints.load(), monitor=Interrupted(0)
    )
    assert equal(first, again)
    assert again.progress == first.progress


def test_the_best_epoch_is_kept_and_patience_ends_the_stage(checkerboard: csr_array) -> None:
    seen: list[Mapping[str, Any]] = []

    class Recorder(trainer.Silent):
        def record(self, record: Mapping[str, Any]) -> None:
            seen.append(record)

    results = []

    class Watched(elsa.Elsa):
        def result(self) -> dict[str, Any]:
            results.append(super().result())
            return results[-1]

    learner = Watched(checkerboard, elsa.Settings(n_dims=16), Optimiser(), epochs=9, seed=5)
    scores = iter([0.1, 0.3, 0.3, 0.2, 0.9])
    done = trainer.train(learner, checkerboard, SCHEDULE, lambda _: next(scores), monitor=Recorder())
    # epochs 3 and 4 bring nothing better, so the fifth is not run
    assert [each["score"] for each in seen] == [0.1, 0.3, 0.3, 0.2]
    assert done.progress.best_epoch == 2
    assert np.array_equal(done.result["vectors"], results[1]["vectors"])


def test_every_user_is_seen_once_per_epoch_in_another_order(checkerboard: csr_array) -> None:
    batches: list[tuple[int, ...]] = []
    users = csr_array(np.concatenate([checkerboard.toarray(), np.eye(120, dtype=np.float32)], axis=1))

    class Watched(elsa.Elsa):
        def step(self, histories: csr_array) -> float:
            batches.append(tuple(histories[:, 30:].indices.tolist()))
            return 0.0

    learner = Watched(users, elsa.Settings(n_dims=8), Optimiser(), epochs=2, seed=5)
    trainer.train(learner, users, Schedule(seed=5, batch_size=50, patience=9), growing())
    assert [len(batch) for batch in batches] == [50, 50, 20] * 2
    for epoch in (batches[:3], batches[3:]):
        assert sorted(user for batch in epoch for user in batch) == list(range(120))
    assert batches[0] != batches[3]


def test_a_loss_that_is_not_finite_ends_the_training(checkerboard: csr_array) -> None:
    class Broken(elsa.Elsa):
        def step(self, histories: csr_array) -> float:
            del histories
            return float("nan")

    learner = Broken(checkerboard, elsa.Settings(n_dims=8), Optimiser(), epochs=2, seed=5)
    with pytest.raises(TrainingError, match=r"the loss became nan in epoch 1; lower training.learning_rate"):
        trainer.train(learner, checkerboard, SCHEDULE, growing())


def test_stages_of_compressed_elsa(checkerboard: csr_array) -> None:
    assert make_compressed(checkerboard).stages == (
        Stage("32 values per item", 1, validated=False),
        Stage("16 values per item", 1, validated=False),
        Stage("8 values per item", 2, validated=True),
    )


def kept(epoch: int) -> Checkpoint:
    progress = Progress(0, epoch, 0.5, 1, finished=False, records=({"loss": 1.5, "epoch": epoch},))
    return Checkpoint(progress, {"values": np.full(3, epoch), "step": np.array(2.0)}, {"best": np.arange(epoch)})


def same(one: Checkpoint | None, other: Checkpoint) -> bool:
    return (
        one is not None
        and one.progress == other.progress
        and all(np.array_equal(one.state[name], other.state[name]) for name in other.state)
        and all(np.array_equal(one.best[name], other.best[name]) for name in other.best)
    )


def test_a_crash_at_any_point_of_saving_leaves_one_of_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Saving forces four things to disk: two files and, twice, the directory. It is stopped before each."""
    outcomes = set()
    for point in range(4):
        run = tmp_path / str(point)
        run.mkdir()
        checkpoints = Checkpoints(run, "same")
        checkpoints.save(kept(1))
        left = iter([False] * point + [True] * 9)
        real = os.fsync
        monkeypatch.setattr(os, "fsync", lambda fd, left=left, real=real: interrupt() if next(left) else real(fd))
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(kept(2))
        monkeypatch.undo()
        found = checkpoints.load()
        assert same(found, kept(1)) or same(found, kept(2))
        outcomes.add(found.progress.epoch if found else 0)
        checkpoints.save(kept(3))
        assert same(checkpoints.load(), kept(3))
        assert len(list(run.glob("checkpoint-*.npz"))) == 1
        assert not list(run.glob(".tmp-*"))
    assert outcomes == {1, 2}


def interrupt() -> None:
    raise KeyboardInterrupt


def test_no_checkpoint_is_no_error(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path, "any").load() is None


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    Checkpoints(tmp_path, "these data").save(kept(1))
    with pytest.raises(RunError, match=r"of other data or another recipe; resume with the same ones, or name another"):
        Checkpoints(tmp_path, "other data").load()


@pytest.mark.parametrize("damage", ["cut", "not json", "no arrays", "key missing"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path, "same")
    checkpoints.save(kept(1))
    arrays, document = tmp_path / "checkpoint-0-1-0.npz", tmp_path / "checkpoint.json"
    if damage == "cut":
        arrays.write_bytes(arrays.read_bytes()[:100])
    elif damage == "not json":
        document.write_text("{")
    elif damage == "no arrays":
        arrays.unlink()
    else:
        document.write_text(json.dumps({"fingerprint": "same"}))
    with pytest.raises(RunError, match=r"checkpoint.json is damaged .*; remove the run directory and train again"):
        checkpoints.load()
