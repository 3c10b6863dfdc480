"""An event that one worker took, seen by the next request to another: how often, out of how many trials.

python -m tests.app.visibility --trials 10000
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

from benchmarks.faults.catalogue import N_ITEMS, item_id
from benchmarks.faults.load import Caller
from benchmarks.faults.rig import Rig

PATIENT = {"SPARROW_MAX_QUEUE_MS": "60000", "SPARROW_DEADLINE_MS": "60000", "SPARROW_STORE_TIMEOUT_MS": "10000"}
"""A machine that is busy must not make an answer one without state: that is allowed, and not what is counted."""


def count_visible(trials: int) -> int:
    """Trials in which the other worker knew of the event, of users who are new in each trial, to and fro."""
    with Rig(n_workers=2, **PATIENT) as rig, ExitStack() as stack:
        one, other = (stack.enter_context(caller_of(rig, worker)) for worker in rig.server.workers())
        return sum(_is_visible(trial, *((one, other) if trial % 2 else (other, one))) for trial in range(trials))


def _is_visible(trial: int, writing: Caller, reading: Caller) -> bool:
    user_id, item = f"user-{trial}", item_id(0, trial % N_ITEMS)
    # Asked before as well: the other worker has no right to what it may have kept of an earlier answer.
    asked = {"user_id": user_id, "candidate_ids": [item]}
    before = _ids(reading.ask("POST", "/v1/recommend", asked))
    event = {"user_id": user_id, "item_id": item, "kind": "view"}
    status, _ = writing.ask("POST", "/v1/events", {"events": [event]})
    return before == [item] and status == 202 and _ids(reading.ask("POST", "/v1/recommend", asked)) == []


def _ids(answered: tuple[int, object]) -> list[str] | None:
    match answered:
        case 200, {"items": list(items), "degraded": False}:
            return [item["item_id"] for item in items]
    return None


@contextmanager
def caller_of(rig: Rig, worker: int) -> Iterator[Caller]:
    """A connection that this worker has taken, for the others were halted when it was made."""
    others = [process_id for process_id in rig.server.workers() if process_id != worker]
    with closing(rig.server.caller()) as caller:
        try:
            for process_id in others:
                os.kill(process_id, signal.SIGSTOP)
            status, _ = caller.ask("GET", "/livez")
        finally:
            for process_id in others:
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGCONT)
        assert status == 200
        yield caller


def main() -> int:
    """Count, and say so; 1 where one event was not visible."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    trials: int = parser.parse_args().trials
    n_visible = count_visible(trials)
    sys.stdout.write(f"visible to the next request from the other worker in {n_visible} of {trials} trials\n")
    return 0 if n_visible == trials else 1


if __name__ == "__main__":
    sys.exit(main())
