"""What training must show, and where it was measured."""

from collections.abc import Sequence

from benchmarks.learning.processes import case_name as processes_case
from benchmarks.learning.schedule import PAPER
from benchmarks.learning.step import REFERENCE
from benchmarks.learning.step import case_name as step_case
from benchmarks.learning.subject import FULL
from benchmarks.targets import Target

PLACE = "books"
GRADIENTS, LOSSES = 1e-5, 1e-5
STEPS = {threads: step_case(FULL.k, threads) for threads in (1, 2)}
PROCESSES = (processes_case(FULL.k, FULL.batch_size), processes_case(16, 256))


def _slower(threads: int) -> tuple[str, ...]:
    return ("step", STEPS[threads], "slower_than_ours", REFERENCE)


TARGETS: Sequence[Target] = (
    *(
        Target(
            f"{each}: gradients differ by", PLACE, ("step", each, "gradients_differ_by"), "<=", GRADIENTS, steady=True
        )
        for each in (*STEPS.values(), *(step_case(k, 1) for k in FULL.other_k))
    ),
    *(Target(f"{STEPS[threads]}: autograd takes", PLACE, _slower(threads), ">=", 40) for threads in STEPS),
    Target("the paper's schedule, dense, takes", PLACE, ("schedule", "slower_than_ours", PAPER), ">=", 50),
    Target("nDCG@100, of the paper's", PLACE, ("schedule", "quality_of_paper"), ">=", 1, steady=True),
    Target("memory, of the leanest dense", PLACE, ("memory", "of_leanest_dense"), "<=", 0.25, steady=True),
    *(
        Target(f"{each}: losses differ by", PLACE, ("processes", each, "losses_differ_by"), "<=", LOSSES, steady=True)
        for each in PROCESSES
    ),
    *(Target(f"{each}: two processes", PLACE, ("processes", each, "two_times_one"), ">=", 1) for each in PROCESSES),
)
