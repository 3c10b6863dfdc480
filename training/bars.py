"""What runs and how far it is: bars with ETA on a terminal, a line for each step of a training or a search elsewhere.

All of it goes to stderr; stdout is for results.
"""

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from training.trainer import Epoch


class TrainingBar:
    """A monitor of one training. The total is the most that can be run: validation may end it earlier."""

    def __init__(self, console: Console, progress: Progress, task: TaskID) -> None:
        """Made by `training_bar`."""
        self._console, self._progress, self._task = console, progress, task
        self._what, self._score, self._stopped = "", "", False

    def stop(self) -> None:
        """Ask for an end after the step that is being made."""
        self._stopped = True
        text = "Stopping after this step, so that it is not lost; Ctrl-C again stops at once."
        self._console.print(text, highlight=False, soft_wrap=True)

    def epoch(self, epoch: Epoch) -> None:
        """Show which epoch runs; bar and ETA are of all that may come."""
        stage = epoch.stage
        self._what = f"{stage.name}, epoch {epoch.number} of {'at most ' if stage.validated else ''}{stage.epochs}"
        completed = epoch.before * epoch.n_steps + epoch.n_done
        self._progress.update(self._task, total=epoch.of * epoch.n_steps, completed=completed, description=self._what)

    def step(self, loss: float) -> None:
        """Move the bar. Raises KeyboardInterrupt if `stop` was called."""
        self._progress.update(self._task, advance=1, loss=f"loss {loss:.3e}{self._score}")
        if self._stopped:
            raise KeyboardInterrupt

    def record(self, record: Mapping[str, Any]) -> None:
        """Keep the validation score in sight."""
        score = record.get("score")
        self._score = "" if score is None else f"  nDCG@100 {score:.4f}"
        if not self._console.is_terminal:
            line = f"{self._what}: loss {record['loss']:.3e}{self._score}  ({record['seconds']:.1f} s)"
            self._console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def training_bar(*, quiet: bool = False, gently: bool = True) -> Iterator[TrainingBar]:
    """A monitor on stderr. gently: a first Ctrl-C ends the training between two steps, a second one at once."""
    console = Console(stderr=True, quiet=quiet)
    text = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    columns = (*text, TextColumn("{task.fields[loss]}"))
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = TrainingBar(console, progress, progress.add_task("fitting", total=None, loss=""))
        with _interruptible(bar) if gently else nullcontext():
            yield bar


@contextmanager
def _interruptible(bar: TrainingBar) -> Iterator[None]:
    def stop(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        bar.stop()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def waiting(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show on stderr, if it is a terminal, what runs and since when; for what cannot tell how far it is."""
    console = Console(stderr=True, quiet=quiet)
    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        progress.add_task(what, total=None)
        yield


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar with ETA on stderr, elsewhere than on a terminal a line each; yields done(name)."""
    console = Console(stderr=True)
    text = SpinnerColumn(), TextColumn("{task.description}")
    columns = (*text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=total)

        def done(name: str) -> None:
            progress.advance(task)
            if not console.is_terminal:
                console.print(f"{name}: {progress.tasks[0].completed:g} of {total}", highlight=False, soft_wrap=True)

        yield done


class SearchBar:
    """Who is told of a search: a bar over its budget on a terminal, and a line for every trial."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        """Made by `searching`."""
        self._progress, self._task = progress, task

    def now(self, share: float, text: str) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=share, description=text)

    def done(self, text: str) -> None:
        """Tell of a trial."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def searching() -> Iterator[SearchBar]:
    """Show a bar with ETA on stderr."""
    console = Console(stderr=True)
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield SearchBar(progress, progress.add_task("", total=1.0))


class Steps:
    """Who is told of steps: `step(name)` as each begins, and how far it is by `step.tell(text)`."""

    def __init__(self, what: str, progress: Progress, task: TaskID) -> None:
        """Made by `steps`."""
        self._what, self._progress, self._task = what, progress, task

    def __call__(self, name: str) -> None:
        """Begin a step."""
        self._progress.update(self._task, description=f"{self._what}: {name}", advance=1, visible=True)

    def tell(self, text: str) -> None:
        """Say how far the step is."""
        self._progress.update(self._task, description=f"{self._what}: {text}")


@contextmanager
def steps(what: str, total: int) -> Iterator[Steps]:
    """Show which of `total` steps runs, on stderr if it is a terminal.

    A spinner and the time that has passed: steps are too unequal for an ETA.
    """
    console = Console(stderr=True)
    shown = BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), *shown)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        yield Steps(what, progress, progress.add_task(what, total=total, completed=-1, visible=False))
