"""The fault table in short: each fault once, briefly, on one server. `make faults` takes its time."""

from collections.abc import Iterator

import pytest

from benchmarks.faults.report import render
from benchmarks.faults.rig import Rig
from benchmarks.faults.scenarios import SCENARIOS, Finding, Scenario, check

SECONDS = 0.5

ELSEWHERE = ("worker killed -9", "rolling restart")
"""These take their time, and tests/app/test_processes.py."""


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    # Two noisy cores that other tests share: nothing may be refused for being slow.
    with Rig(n_workers=1, SPARROW_MAX_QUEUE_MS="60000") as made:
        yield made


@pytest.fixture(scope="module")
def findings() -> dict[Scenario, Finding | str]:
    return {}


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if one.name not in ELSEWHERE], ids=lambda scenario: scenario.name
)
def test_what_is_promised_holds(rig: Rig, scenario: Scenario, findings: dict[Scenario, Finding | str]) -> None:
    findings[scenario] = found = scenario.run(rig, SECONDS)
    assert check(scenario, found) == []
    assert found.answers.n > 0


def test_the_report_shows_every_finding(findings: dict[Scenario, Finding | str]) -> None:
    one = next(found for found in findings.values() if isinstance(found, Finding))
    told: dict[Scenario, Finding | str] = {SCENARIOS[0]: one._replace(kept=0), SCENARIOS[-1]: "there is no clock"}
    page = render(told, seconds=SECONDS, n_workers=1, n_callers=6)
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert len(rows) == 4
    assert sum("**BROKEN" in row for row in rows) == 1
    assert "not run: there is no clock" in page
