"""kill -9 anywhere: a run that is resumed ends with the bytes of an undisturbed one.

A process of its own loads a few readers' books, and every fit is a fork of it. What a fit does to its directory, and
every step of the training, is counted; a fork is killed (SIGKILL) at one of these points, and another one resumes.
Before data are forced to disk half of them are cut off, as a loss of power may do.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

USUAL = ["training.epochs=2", "training.batch_size=200", "output.shrinkage=[0.0, 3.0]"]
SETTINGS = {
    "compressed-elsa": [*USUAL, "model.k=4", "model.n_dims=64", "model.start_k=16"],
    "compressae": [*USUAL, "model.k=4", "model.n_dims=64", "model.dense_dims=32", "model.dense_epochs=2"],
    "elsa": [*USUAL, "model.n_dims=32"],
}
"""Recipes whose stages differ: positions that are pruned; dense vectors, and then codes of them; one stage."""
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Points:
    """What happens in a fork, in order, and where it is killed."""

    def __init__(self, directory: Path, fatal: int | None) -> None:
        self.directory, self.fatal = str(directory), fatal
        self.seen: list[str] = []

    def reached(self, what: str) -> bool:
        """Count a point; whether it is the last one."""
        self.seen.append(what)
        return len(self.seen) - 1 == self.fatal

    def watch(self) -> None:
        real = os.fsync

        def fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}")
            if self.reached(f"fsync {path.resolve().name}"):
                if path.is_file():
                    os.truncate(path, path.stat().st_size // 2)
                die()
            real(descriptor)

        def audit(event: str, arguments: tuple[Any, ...]) -> None:
            changes = event in CHANGES or (event == "open" and int(arguments[2] or 0) & WRITES)
            if changes and str(arguments[0]).startswith(self.directory):
                name = Path(str(arguments[0])).name
                if self.reached(f"{event} {name}"):
                    die()

        vars(os)["fsync"] = fsync
        sys.addaudithook(audit)

    def step(self) -> None:
        if self.reached("step"):
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fork(work: Callable[[], None]) -> int:
    """Do it in a fork; the signal that killed it, or 0."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            # an error has been told by now; no handler of the parent's may run here
            os._exit(0 if sys.exc_info()[0] is None else 1)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0, "a fork failed"
        return 0
    return os.WTERMSIG(status)


def drive(root: Path, likes: Path, name: str) -> None:
    """The process: run undisturbed, then killed at points all over; print what happened."""
    from functools import partial

    import torch

    from training import interactions, recipe, run, trainer
    from training.checkpoint import Checkpoints
    from training.interactions import Filters

    torch.set_num_threads(1)
    data, loaded = interactions.load(likes, filters=Filters(min_item_support=8))
    material = run.Material(data, loaded, [{"title": "A book"} for _ in range(len(data.items))], None)
    chosen = recipe.load(name, SETTINGS[name])
    vars(run)["Checkpoints"] = partial(Checkpoints, interval=0)  # as if every step took minutes

    def fit(directory: Path, fatal: int | None = None) -> int:
        def work() -> None:
            points = Points(directory, fatal)

            class Watching(trainer.Silent):
                def step(self, loss: float) -> None:
                    del loss
                    points.step()

            points.watch()
            run.fit(directory, chosen, material, device="cpu", monitor=Watching(), resume=True)
            (root / f"{directory.name}.json").write_text(json.dumps(points.seen))

        return fork(work)

    assert fit(root / "undisturbed") == 0
    points = json.loads((root / "undisturbed.json").read_text())
    export = next(number for number, what in enumerate(points) if "embeddings" in what or "items" in what)
    often = name == "compressed-elsa"  # the directory is written alike by all
    fatal = [*range(0, export, 7 if often else 11), *range(export, len(points), 3 if often else 29)]
    killed = {number: fit(root / f"killed-{number}", number) for number in fatal}
    resumed = {number: fit(root / f"killed-{number}") for number in fatal}
    rounds = 0
    while fit(root / "again-and-again", 20 + 5 * rounds):
        rounds += 1
    document = {"points": points, "export": export, "killed": killed, "resumed": resumed, "rounds": rounds}
    sys.stdout.write(json.dumps(document))


def content(directory: Path) -> dict[str, Any]:
    """Every file of a complete run by its bytes, but for times."""
    found: dict[str, Any] = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name in ("metrics.json", "log.jsonl") or name.startswith("checkpoint"):
            continue
        found[name] = path.read_bytes() if path.is_file() else None
    metrics = json.loads((directory / "metrics.json").read_text())
    log = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    assert log == metrics.pop("epochs")
    metrics.pop("seconds")
    return {**found, "metrics": metrics, "log": [{**each, "seconds": 0} for each in log]}


@pytest.mark.parametrize(
    ("name", "n_steps", "n_epochs"),
    [
        # three stages of one, one and two epochs, of two steps each
        ("compressed-elsa", 8, 4),
        ("compressae", 8, 4),
        ("elsa", 4, 2),
    ],
)
def test_killed_anywhere_a_run_ends_as_the_undisturbed_one(
    name: str, n_steps: int, n_epochs: int, books_file: Path, tmp_path: Path
) -> None:
    line = [sys.executable, __file__, str(tmp_path), str(books_file), name]
    done = subprocess.run(line, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    points, export = told["points"], told["export"]
    assert sum(what == "step" for what in points) == n_steps
    # a checkpoint after each step and each epoch
    assert sum(what.startswith("os.rename .tmp-checkpoint-") for what in points) == n_steps + n_epochs
    assert {what.split()[0] for what in points} >= {"step", "open", "fsync", "os.rename", "os.mkdir", "os.remove"}
    assert 10 < len(points) - export < 200
    assert set(told["killed"].values()) == {int(signal.SIGKILL)}
    assert set(told["resumed"].values()) == {0}
    assert told["rounds"] > 3
    undisturbed = content(tmp_path / "undisturbed")
    assert ("embeddings/decoder_values.npy" in undisturbed) == (name != "elsa")  # which is only measured
    for directory in (tmp_path / "again-and-again", *tmp_path.glob("killed-*[0-9]")):
        assert content(directory) == undisturbed


if __name__ == "__main__":
    drive(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
