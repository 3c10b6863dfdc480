"""One training in several processes, as torchrun starts them: every process has all data and all parameters.

Each takes a share of the users of every batch, the gradients are added up, and all make the same step. What one of them
decides (a validation score) is told to the others, so they stay alike. Alone, nothing of this does anything.

    sparrow-train fit --processes 2 ...                                 # two on this machine
    torchrun --nnodes 2 --nproc-per-node 8 ... -m -- training fit ...    # on several; -- keeps our options ours
"""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import NoReturn

import torch
import torch.distributed as processes
from scipy.sparse import csr_array
from torch import Tensor

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: one of them validates meanwhile."""


def started() -> int:
    """How many processes torchrun says it has started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def start(n_processes: int, module: str, arguments: Sequence[str]) -> NoReturn:
    """Become torchrun, with `n_processes` of `python -m module arguments` on this machine."""
    launched = ["--standalone", "--nproc-per-node", str(n_processes), "-m", "--", module, *arguments]
    os.execv(sys.executable, [sys.executable, "-m", __name__, *launched])  # noqa: S606 (no shell is meant)


def _launch(arguments: Sequence[str]) -> int:
    """Be torchrun; the exit code. What went wrong the processes have told, each for itself: no traceback buries it."""
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main(list(arguments))
    except SignalException as error:
        return 128 + error.sigval
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    return 0


@contextmanager
def together(device: str) -> Iterator[None]:
    """Join the other processes of torchrun, over NCCL for CUDA and over gloo else; nothing where there are none."""
    if started() < 2:
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    processes.init_process_group("nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE)
    try:
        yield
    finally:
        processes.destroy_process_group()


def rank() -> int:
    """The number of this process."""
    return processes.get_rank() if processes.is_initialized() else 0


def size() -> int:
    """How many processes there are."""
    return processes.get_world_size() if processes.is_initialized() else 1


def share(histories: csr_array) -> csr_array:
    """The users of a batch, rows of `histories`, that fall to this process."""
    return histories if size() == 1 else histories[rank() :: size()]


def total(loss: float, gradient: Tensor) -> tuple[float, Tensor]:
    """The loss and the gradient of all processes added up; `gradient` is overwritten."""
    if size() == 1:
        return loss, gradient
    losses = torch.tensor([loss], dtype=torch.float64, device=gradient.device)
    processes.all_reduce(losses)
    processes.all_reduce(gradient)
    return float(losses), gradient


def agreed(value: float) -> float:
    """The value of the first process."""
    if size() == 1:
        return value
    told = torch.tensor([value], dtype=torch.float64, device="cuda" if processes.get_backend() == "nccl" else "cpu")
    processes.broadcast(told, src=0)
    return float(told)


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1:]))
