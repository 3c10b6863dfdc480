"""How long does a training step take, beside the same step in dense arithmetic?

A step is the gradient on one batch and the optimiser's change of what is trained. The first step of every way starts
from the same values, those that the default recipe chooses its first positions by: it warms up, untimed, and its
gradient is compared with autograd's.

Where a reader's book shares no dim with the reader's others, its score is 1 - 1: on the corner of relu6, where the
gradient jumps and rounding decides to which side. Readers with such a book are not in the batch of their k.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from torch import Tensor

from benchmarks import timing
from benchmarks.comparison import Finding, ratio, summaries
from benchmarks.learning import autograd, clock
from benchmarks.learning.subject import FIRST_SEED, Subject
from benchmarks.timing import Samples
from index.types import JSON
from training.models.cooccurrence import BLOCK, initial_values
from training.models.learner import Optimiser
from training.models.sparse_step import Compiled, Dense, InTorch, SparseStep

CORNER = 1e-5
"""How near to 0 a score is on the corner."""
OURS, REFERENCE = "compiled", "dense autograd"
SPARSE_STEPS: Mapping[str, Callable[[Tensor, int], SparseStep]] = {
    OURS: lambda dims, n_dims: Compiled(dims.int(), n_dims),
    "in torch": InTorch,
    "dense by hand": Dense,
}
"""Ways to compute the step at fixed positions, of them (int64) and the width."""


@dataclass(frozen=True)
class Problem:
    """What every way starts from."""

    raw: Tensor
    """(n_items, n_dims)."""
    histories: csr_array
    """Of the batch."""
    k: int
    """Values per item."""

    def positions(self) -> Tensor:
        """Of the k largest |values| of each row, ascending, (n_items, k)."""
        return self.raw.abs().topk(self.k, dim=1).indices.sort(dim=1).values


class AtPositions:
    """Trains the values at the positions and nothing else."""

    def __init__(self, make: Callable[[Tensor, int], SparseStep], problem: Problem) -> None:
        dims = problem.positions()
        self._compute, self._histories = make(dims, problem.raw.shape[1]), problem.histories
        self._values = problem.raw.gather(1, dims)
        self._descent = Optimiser().of(self._values)
        self.first: tuple[float, Tensor] | None = None

    def step(self, _number: int = 0) -> None:
        """Make one; the first leaves its loss and gradient in `first`."""
        found = self._compute(self._values, self._histories, self._histories.shape[0])
        self.first = self.first or found
        self._descent.step(found[1])


class Masked:
    """Trains all values, of which the mask shows the k largest of each row."""

    def __init__(self, problem: Problem) -> None:
        self._dims, self._histories, self._k = problem.positions(), problem.histories, problem.k
        self._raw = problem.raw.clone()
        self._descent = Optimiser().of(self._raw)
        self.first: tuple[float, Tensor] | None = None

    def step(self, _number: int = 0) -> None:
        """Make one; the first leaves its loss, and its gradient at the positions, in `first`."""
        loss, gradient = autograd.loss_and_gradient(self._raw, self._histories, self._k)
        self.first = self.first or (loss, gradient.gather(1, self._dims))
        self._descent.step(gradient)


def cases(subject: Subject) -> list[tuple[int, int, int]]:
    """Values per item, threads and rounds of all that is measured."""
    scale = subject.scale
    fewer = max(1, scale.rounds - 1)
    others = [(k, 1, fewer) for k in scale.other_k]
    return [(scale.k, 1, scale.rounds), (scale.k, 2, fewer), *others]


def steps(subject: Subject) -> int:
    """How often `measure` calls done."""
    return sum(rounds for _, _, rounds in cases(subject))


def measure(subject: Subject, done: Callable[[float], None]) -> Finding:
    """Time all ways in turns, in every case: of so many values per item, with so many threads."""
    raw = beginning(subject)
    figures: dict[str, JSON] = {}
    samples: dict[str, Samples] = {}
    for k, n_threads, rounds in cases(subject):
        histories = batch(subject, raw, k)
        with clock.threads(n_threads), timing.watched() as so_far:
            timed, differences = _case(Problem(raw, histories, k), rounds, done)
            disturbance = so_far().to_json()
        name = case_name(k, n_threads)
        figures[name] = {
            "k": k,
            "threads": n_threads,
            "rounds": rounds,
            "users": histories.shape[0],
            "disturbance": disturbance,
            "ways": summaries(timed),
            "slower_than_ours": {way: ratio(each, timed[OURS]) for way, each in timed.items() if way != OURS},
            "differences": {way: dict(each) for way, each in differences.items()},
            "gradients_differ_by": max(each["gradient"] for each in differences.values()),
        }
        samples |= {f"{name}: {way}": each for way, each in timed.items()}
    return Finding(figures, samples)


def case_name(k: int, n_threads: int) -> str:
    """As the document has it."""
    return f"k {k}, {n_threads} thread{'s' if n_threads > 1 else ''}"


def _case(
    problem: Problem, rounds: int, done: Callable[[float], None]
) -> tuple[dict[str, Samples], dict[str, Mapping[str, float]]]:
    """What each way took, and how its first loss and gradient differ from autograd's."""
    ways: dict[str, AtPositions | Masked] = {name: AtPositions(make, problem) for name, make in SPARSE_STEPS.items()}
    ways[REFERENCE] = Masked(problem)
    timed = timing.interleave({name: way.step for name, way in ways.items()}, 1, rounds, done)
    loss, gradient = _first(ways[REFERENCE])
    largest = float(gradient.abs().max())
    differences: dict[str, Mapping[str, float]] = {}
    for name in SPARSE_STEPS:
        own_loss, own = _first(ways[name])
        differences[name] = {
            "loss": abs(own_loss / loss - 1),
            "gradient": float((own - gradient).abs().max()) / largest,
        }
    return timed, differences


def _first(way: AtPositions | Masked) -> tuple[float, Tensor]:
    if way.first is None:
        raise ValueError("no step was made")
    return way.first


def beginning(subject: Subject) -> Tensor:
    """R smoothed once over co-occurrence (`training.models.cooccurrence`), dense, (n_items, n_dims).

    An item that nobody in training has keeps its row of R, or it would have no length.
    """
    n_items, n_dims = subject.histories.shape[1], subject.scale.n_dims
    known = subject.known
    per_user, per_item = (diags_array(np.maximum(known.sum(axis), 1) ** -0.5) for axis in (1, 0))
    normalised = csr_array(per_user @ known @ per_item, dtype=np.float32)
    random = np.hstack([initial_values(FIRST_SEED, block, n_items, n_dims) for block in range(-(-n_dims // BLOCK))])
    smooth = normalised.T @ (normalised @ random)
    return torch.from_numpy(np.where(smooth.any(axis=1, keepdims=True), smooth, random))


def batch(subject: Subject, raw: Tensor, k: int) -> csr_array:
    """Histories of `batch_size` training users who are not on a corner, or of as many as there are."""
    known = subject.known
    dims = Problem(raw, known, k).positions()
    unit = torch.nn.functional.normalize(raw.gather(1, dims).double(), dim=1)
    starts = known.indptr.tolist()
    clear = [
        user
        for user in range(known.shape[0])
        if not _on_a_corner(torch.from_numpy(known.indices[starts[user] : starts[user + 1]]).long(), dims, unit, raw)
    ]
    order = np.random.default_rng(FIRST_SEED).permutation(clear)
    return known[np.sort(order[: subject.scale.batch_size])]


def _on_a_corner(own: Tensor, dims: Tensor, unit: Tensor, raw: Tensor) -> bool:
    """Whether a score of an item of the history is 0 but for rounding."""
    query = torch.zeros(raw.shape[1], dtype=unit.dtype).index_add_(0, dims[own].ravel(), unit[own].ravel())
    scores = (query[dims[own]] * unit[own]).sum(1) - 1
    return bool((scores.abs() < CORNER).any())
