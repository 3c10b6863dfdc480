"""The report of `benchmarks.training`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.learning import tables
from benchmarks.learning.targets import PLACE
from benchmarks.tables import show as show_table

DOUBTS = """\
* **One data set**, small: 2,375 readers train on 9,882 books. The dense schedule makes three steps an epoch there.
* **The paper's settings** are those of its README, tuned by its authors to larger data; `--whole` tries ours, 256, too.
* **Not their code.** The schedule is run by our trainer, and its dense steps are ours: products written out, histories
  sparse. The autograd step follows their model line by line, in torch.
* **Sampled.** Of the dense schedule a few epochs are timed and the others interpolated, unless `--whole` was given. Its
  quality comes from runs that compute widths below a fifth of the space sparsely: float rounding differs.
* **Validation users judge here.** They have chosen the best epoch and the item scale of both sides, and before that the
  default recipe. RESULTS.md has figures of users that chose nothing.
* **We wrote both** the compiled step and this benchmark.
"""


def show(console: Console, document: Mapping[str, Any]) -> None:
    """All tables."""
    for table in tables.of(document):
        show_table(console, table)


def write(directory: Path, document: Mapping[str, Any], plots: Sequence[tuple[str, Path]]) -> Path:
    """Write DATE-training.md, the verdicts first; `plots` are titles and files beside it."""
    found = document["places"][PLACE]
    noisy = [
        f"{name} ({asked['disturbance']['others']:.1f})"
        for name, asked in found.items()
        if name != "about" and asked["disturbance"]["noisy"]
    ]
    ran = {**document["machine"], **{name: each for name, each in found["about"].items() if each is not None}}
    doubts = DOUBTS + report.noise(noisy)
    return report.assemble(directory, "training", document, doubts, ran, tables.of(document), plots)
