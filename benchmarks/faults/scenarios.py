"""The faults, one function each: break something under load, mend it, and say what was to be seen.

A function is given the rig, which is whole when it starts and must be whole when it ends, and for how long to look.
What it returns goes into the report as it is; what had to be and was not is a RigError.
"""

import json
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import NamedTuple

from redis import Redis
from redis.exceptions import RedisError

from app.store.keys import PARTITIONS, log_key
from benchmarks.faults.load import Outcome, Seen
from benchmarks.faults.rig import Rig, RigError, eventually
from index.disk import replace_text
from index.publication import publish

DAY_SECONDS = 86_400

CUT_SECONDS = 2.0

READS = ("/v1/recommend", "/v1/homepage")


class Finding(NamedTuple):
    """What came of a fault."""

    answers: Seen
    """Recommendations and pages while it lasted."""
    events: Seen
    """Events while it lasted."""
    acknowledged: int
    """Events that were acknowledged, before, during and after."""
    kept: int
    """How many of them are known afterwards."""
    mended_seconds: float
    """From mending until answers were whole again."""
    note: str
    """What else was to be seen."""


class Scenario(NamedTuple):
    """A fault with its name and what is promised about it."""

    name: str
    promise: str
    run: Callable[[Rig, float], Finding]


def whole(one: Outcome) -> bool:
    """An answer or an acknowledgement with nothing missing."""
    return one.status in (200, 202) and not one.degraded


def observed(
    rig: Rig, seconds: float, begin: Callable[[], None], end: Callable[[], str], *, n_callers: int = 6
) -> Finding:
    """Break by `begin`, look on, mend by `end`, wait until all is whole; what callers saw in between."""
    with rig.load(n_callers) as load:
        _expect(load.wait(20, whole), "whole answers before the fault")
        start = time.monotonic()
        begin()
        time.sleep(seconds)
        until = time.monotonic()
        note = end()
        mended = time.monotonic()
        for path in (*READS, "/v1/events"):
            _expect(load.wait(3, lambda one, path=path: one.path == path and whole(one)), f"{path} whole again")  # type: ignore[misc]
        recovered = time.monotonic() - mended
    during = [one for one in load.since(start) if one.ended_at - one.seconds < until]
    acknowledged = list(load.acknowledged)
    return Finding(
        answers=Seen.of([one for one in during if one.path in READS]),
        events=Seen.of([one for one in during if one.path == "/v1/events"]),
        acknowledged=len(acknowledged),
        kept=rig.kept(acknowledged),
        mended_seconds=recovered,
        note=note,
    )


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise RigError(f"there were no {what}")


def _nothing() -> str:
    return ""


# --- Redis ------------------------------------------------------------------------------------------------------------


def redis_killed(rig: Rig, seconds: float) -> Finding:
    """Kill -9, and started again with its file."""

    def start() -> str:
        rig.redis.start()
        return "started again with its append-only file"

    return observed(rig, seconds, rig.redis.kill, start)


def redis_slow(rig: Rig, seconds: float) -> Finding:
    """Every round trip takes 100 ms longer."""

    def slow() -> None:
        rig.network.delay_seconds = 0.1

    def mend() -> str:
        rig.network.mend()
        return "within the time-out of 500 ms and half the deadline of 1 s: whole answers, later"

    return observed(rig, seconds, slow, mend)


def redis_partitioned(rig: Rig, seconds: float) -> Finding:
    """Nothing comes through, in either direction."""

    def mend() -> str:
        rig.network.mend()
        return "what was held in the network comes through afterwards: an event that got 503 may have been recorded"

    # The first ones that meet it wait for their time-out.
    return observed(rig, max(seconds, CUT_SECONDS), rig.network.cut, mend)


def redis_full(rig: Rig, seconds: float) -> Finding:
    """It has no memory left, and evicts nobody."""

    def fill() -> None:
        with rig.redis.client() as client:
            client.config_set("maxmemory", 1)

    def mend() -> str:
        with rig.redis.client() as client:
            client.config_set("maxmemory", 0)
        return "state is read on, events are refused"

    return observed(rig, seconds, fill, mend)


def redis_read_only(rig: Rig, seconds: float) -> Finding:
    """It became a replica, of a server that is not there."""

    def demote() -> None:
        with rig.redis.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", "1")

    def mend() -> str:
        with rig.redis.client() as client:
            client.execute_command("REPLICAOF", "NO", "ONE")
        return "state is read on, events are refused"

    return observed(rig, seconds, demote, mend)


def redis_flushed(rig: Rig, seconds: float) -> Finding:
    """Somebody calls FLUSHALL; then `sparrow-serve rebuild`, while callers go on."""
    at_risk: list[int] = []
    done: dict[str, int] = {}

    def flush() -> None:
        with rig.redis.client() as client:
            waiting = [0]

            def drained() -> bool:
                waiting.append(_undrained(client))
                return waiting[-1] < waiting[-2]

            eventually(drained, "a collector that drains")
            with client.pipeline(transaction=True) as at_once:
                for p in range(PARTITIONS):
                    at_once.xlen(log_key(p))
                *lost, _ = at_once.flushall().execute()
            at_risk.append(sum(lost))

    def rebuild() -> str:
        done.update(rig.server.rebuild())
        return ""

    finding = observed(rig, seconds, flush, rebuild)
    n_lost = finding.acknowledged - finding.kept
    if n_lost > at_risk[0]:
        raise RigError(f"{n_lost} events are lost, and {at_risk[0]} were in no file yet")
    if not done["restored"]:
        raise RigError("nobody was restored: the fault did not reach the store")
    note = (
        f"the rebuild gave back to {done['restored']} users what {done['events']} logged events say, while callers "
        f"went on; lost are {n_lost} of the {at_risk[0]} entries that waited on streams for the next file (every 5 s)"
    )
    return finding._replace(note=note)


def _undrained(client: Redis) -> int:
    return sum(client.xlen(log_key(p)) for p in range(PARTITIONS))


def redis_disk_full(rig: Rig, seconds: float) -> Finding:
    """Its append-only file cannot grow."""

    def fill() -> None:
        with rig.redis.client() as client:
            largest = max(path.stat().st_size for path in rig.redis.folder.rglob("*aof*") if path.is_file())
            rig.redis.limit_files(largest + 512)
            with suppress(RedisError):  # it is noticed by a write that fails
                client.set("filling", "x" * 4096)

    def mend() -> str:
        rig.redis.limit_files(resource.RLIM_INFINITY)
        with rig.redis.client() as client:

            def writes() -> bool:
                try:
                    return bool(client.set("filling", ""))
                except RedisError:
                    return False

            eventually(writes, "a Redis that writes")
            client.delete("filling")
        return "as for a full memory: Redis refuses what it cannot write (MISCONF)"

    return observed(rig, seconds, fill, mend)


# --- snapshots --------------------------------------------------------------------------------------------------------


def refused(rig: Rig, seconds: float, spoil: Callable[[str], None]) -> Finding:
    """Make CURRENT name a version that was spoilt; the old one must stay, and the next good one be taken."""
    version = rig.store()
    before = rig.server.metric("sparrow_refused_snapshots_total")
    (served,) = {line.strip() for line in (rig.snapshots / "CURRENT").read_text().splitlines()}
    shutil.copytree(rig.snapshots / version, rig.snapshots / "kept")
    spoil(version)

    def begin() -> None:
        replace_text(rig.snapshots / "CURRENT", version + "\n")
        eventually(lambda: rig.server.metric("sparrow_refused_snapshots_total") > before, "a refusal")

    def end() -> str:
        if not _served_by_all(rig, served):
            raise RigError(f"{served} is not served any more")
        publish(rig.snapshots, good)
        eventually(lambda: _served_by_all(rig, good), "the next good snapshot")
        return f"{rig.server.metric('sparrow_refused_snapshots_total') - before:g} refusals counted, one by each worker"

    good = rig.store()
    try:
        return observed(rig, seconds, begin, end)
    finally:
        shutil.rmtree(rig.snapshots / version, ignore_errors=True)
        shutil.rmtree(rig.snapshots / "kept")


def _served_by_all(rig: Rig, version: str) -> bool:
    """Whether sixteen connections in a row are answered from it: enough for all of two workers."""
    for _ in range(16):
        with closing(rig.server.caller()) as caller:
            if caller.ask("POST", "/v1/recommend", {})[1]["index_version"] != version:
                return False
    return True


def snapshot_corrupt(rig: Rig, seconds: float) -> Finding:
    """One bit of its largest file is wrong; size and time are right."""

    def spoil(version: str) -> None:
        largest = max((rig.snapshots / version).iterdir(), key=lambda path: path.stat().st_size)
        content = bytearray(largest.read_bytes())
        content[len(content) // 2] ^= 1
        largest.chmod(0o600)
        largest.write_bytes(content)

    return refused(rig, seconds, spoil)


def snapshot_missing(rig: Rig, seconds: float) -> Finding:
    """CURRENT names what is not there."""
    return refused(rig, seconds, lambda version: shutil.rmtree(rig.snapshots / version))


def snapshot_half_copied(rig: Rig, seconds: float) -> Finding:
    """Some files are there, one half, some not."""

    def spoil(version: str) -> None:
        files = sorted(path for path in (rig.snapshots / version).iterdir() if path.suffix == ".npy")
        for path in files[len(files) // 2 :]:
            path.unlink()
        files[0].chmod(0o600)
        files[0].write_bytes(files[0].read_bytes()[: files[0].stat().st_size // 2])

    return refused(rig, seconds, spoil)


def snapshot_newer(rig: Rig, seconds: float) -> Finding:
    """Its format is one that this program does not know."""

    def spoil(version: str) -> None:
        path = rig.snapshots / version / "manifest.json"
        manifest = json.loads(path.read_text())
        path.chmod(0o600)
        path.write_text(json.dumps({**manifest, "format": manifest["format"] + 1}))

    return refused(rig, seconds, spoil)


# --- processes --------------------------------------------------------------------------------------------------------


def worker_killed(rig: Rig, seconds: float) -> Finding:
    """Kill -9, one worker of two."""
    finding = observed(rig, seconds, rig.server.kill_worker, _nothing)
    if not set(finding.answers.statuses) <= {"200", "broken"} or not set(finding.events.statuses) <= {"202", "broken"}:
        raise RigError(f"callers saw more than broken connections: {finding.answers.statuses}")
    broken = finding.answers.statuses.get("broken", 0) + finding.events.statuses.get("broken", 0)
    return finding._replace(note=f"requests in the killed worker's hands: {broken}; the port never refused")


def rolling_restart(rig: Rig, seconds: float) -> Finding:
    """All workers, one after the other, by SIGHUP: no fault, and no failed request."""
    finding = observed(rig, seconds, rig.server.roll, _nothing)
    if {*finding.answers.statuses, *finding.events.statuses} != {"200", "202"}:
        raise RigError(f"callers saw failures: {finding.answers.statuses}, {finding.events.statuses}")
    return finding


def clock_jump(rig: Rig, seconds: float) -> Finding:
    """The wall clock of the workers jumps a day ahead, and back."""

    def ahead() -> None:
        rig.clock.set(DAY_SECONDS)
        with closing(rig.server.caller()) as caller:
            caller.ask("POST", "/v1/events", {"events": [{"user_id": "clock", "item_id": "i", "kind": "like"}]})
            (entry,) = caller.ask("GET", "/v1/users/clock")[1]["history"]
            if entry["timestamp"] < time.time() + DAY_SECONDS / 2:
                raise RigError("the clock of the workers did not move")
            caller.ask("DELETE", "/v1/users/clock")

    def back() -> str:
        rig.clock.set(0)
        return "deadlines, time-outs and shedding go by another clock; a history keeps the order of its times"

    return observed(rig, seconds, ahead, back)


KEPT = "what was acknowledged is kept"
GOES_ON = "answers go on, degraded; events get 503 with Retry-After; " + KEPT
READS_ON = "answers go on whole; events get 503 with Retry-After; " + KEPT
OLD_STAYS = "refused, logged, counted; the old version answers on; the next good one is taken"

RESTORED = "answers go on; one command restores what the event log holds: all but the last seconds"

SCENARIOS = (
    Scenario("Redis killed", GOES_ON, redis_killed),
    Scenario("Redis slow by 100 ms", "answers wait within their deadline; " + KEPT, redis_slow),
    Scenario("Redis full", READS_ON, redis_full),
    Scenario("Redis read-only", "answers go on, some degraded; " + READS_ON.partition("; ")[2], redis_read_only),
    Scenario(
        "Redis flushed",
        RESTORED,
        redis_flushed,
    ),
    Scenario("Redis partitioned", GOES_ON, redis_partitioned),
    Scenario("disk of Redis full", READS_ON, redis_disk_full),
    Scenario("snapshot corrupt", OLD_STAYS, snapshot_corrupt),
    Scenario("snapshot missing", OLD_STAYS, snapshot_missing),
    Scenario("snapshot half-copied", OLD_STAYS, snapshot_half_copied),
    Scenario("snapshot of a newer format", OLD_STAYS, snapshot_newer),
    Scenario("worker killed -9", "what it had in hand is lost, no more; it is replaced; " + KEPT, worker_killed),
    Scenario("rolling restart", "nothing fails", rolling_restart),
    Scenario("clock jumps a day, and back", "answers go on whole; " + KEPT, clock_jump),
)


def check(scenario: Scenario, finding: Finding) -> list[str]:
    """What of the promise did not hold."""
    wrong = []
    expected = {"200", "broken"} if scenario.run is worker_killed else {"200"}
    if not set(finding.answers.statuses) <= expected:
        wrong.append(f"answers: {finding.answers.statuses}")
    if finding.answers.mixed:
        wrong.append(f"{finding.answers.mixed} answers mix versions")
    refusing = "503" in scenario.promise
    allowed = {"202", "503"} if refusing else ({"202", "broken"} if scenario.run is worker_killed else {"202"})
    if not set(finding.events.statuses) <= allowed:
        wrong.append(f"events: {finding.events.statuses}")
    if scenario.promise in (READS_ON, OLD_STAYS) and finding.answers.degraded:
        wrong.append(f"{finding.answers.degraded} answers were degraded")
    if scenario.promise == GOES_ON and not finding.answers.degraded:
        wrong.append("no answer was degraded: the fault did not reach the server")
    if refusing and "503" not in finding.events.statuses:
        wrong.append("no event was refused: the fault did not reach the server")
    if scenario.run is not redis_flushed and finding.kept != finding.acknowledged:
        wrong.append(f"{finding.acknowledged - finding.kept} acknowledged events are lost")
    return wrong
