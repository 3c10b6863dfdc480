"""The findings as a page of Markdown."""

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from benchmarks.faults.load import Seen
from benchmarks.faults.scenarios import Finding, Scenario, check
from benchmarks.machine import commit

HEAD = """# What callers see while things break, {date}

`make faults` breaks a real `sparrow-serve` ({n_workers} workers) and a real redis-server (AOF, everysec, noeviction)
under {n_callers} callers who never rest: a third each recommendations, pages and events, every caller on a connection
that it keeps. Each fault lasts {seconds:g} s. An event is *acknowledged* once it was answered 202, before, during or
after its fault; *kept* are those that `GET /v1/users/{{user_id}}` knows afterwards. `broken`: a connection ended
without an answer.

{machine}

| fault | promise | recommendations and pages | degraded | p99 | events | acknowledged, kept | whole again after |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

TAIL = """
## Reasons to doubt this

* Redis is killed, the machine is not: a power cut would lose up to the last second of what was acknowledged (AOF
  everysec).
* While a disk is so busy that an fsync takes long, Redis puts off its writes for up to two seconds: then a kill loses
  what it acknowledged meanwhile. That was seen here on a loaded machine.
* The network is a proxy between two unix sockets: what is held while it is cut comes through when it is mended, so an
  event that got 503 may have been recorded. It does not count as acknowledged; with an `event_id` it may be sent again.
* A full disk is a limit on the size of Redis' file (RLIMIT_FSIZE), and a clock that jumps is what the workers are told
  (`clock.c`, loaded before libc); Redis' own clock does not jump.
* FLUSHALL takes the streams along, and so the events that no file holds yet; a Redis that starts empty because its disk
  is gone does the same. The disk of the event log is another file here, and another disk only where you see to it.
"""


def render(findings: Mapping[Scenario, Finding | str], *, seconds: float, n_workers: int, n_callers: int) -> str:
    """The page; where a fault could not be made there is a reason instead of a finding."""
    date = datetime.now(UTC).date().isoformat()
    head = HEAD.format(date=date, seconds=seconds, n_workers=n_workers, n_callers=n_callers, machine=_machine())
    rows = [_row(scenario, finding) for scenario, finding in findings.items()]
    notes = [
        f"* **{one.name}**: {found.note}"
        for one, found in findings.items()
        if isinstance(found, Finding) and found.note
    ]
    return head + "\n".join(rows) + "\n\n" + "\n".join(notes) + "\n" + TAIL


def _row(scenario: Scenario, finding: Finding | str) -> str:
    if isinstance(finding, str):
        return f"| {scenario.name} | {scenario.promise} | not run: {finding} | | | | | |"
    wrong = check(scenario, finding)
    promise = scenario.promise + (f" **BROKEN: {'; '.join(wrong)}**" if wrong else "")
    answers, events = finding.answers, finding.events
    cells: Sequence[str] = (
        scenario.name,
        promise,
        _statuses(answers),
        f"{answers.degraded} of {answers.n}",
        f"{answers.late_ms:.0f} ms",
        _statuses(events),
        f"{finding.acknowledged}, {finding.kept}",
        f"{finding.mended_seconds:.2f} s",
    )
    return "| " + " | ".join(cells) + " |"


def _statuses(seen: Seen) -> str:
    return ", ".join(f"{n} x {status}" for status, n in seen.statuses.items()) or "none"


def _machine() -> str:
    return (
        f"{platform.platform()}, {os.cpu_count()} cores (load average {os.getloadavg()[0]:.1f}), Python "
        f"{platform.python_version()}, commit {commit('app', 'index')}."
    )
