"""python -m benchmarks.faults [--seconds 10] [--only REDIS,...] [--out FOLDER] [--json]: the fault table, for real.

Ends with 1 where something that is promised did not hold.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.faults.report import render
from benchmarks.faults.rig import Rig, RigError
from benchmarks.faults.scenarios import SCENARIOS, Finding, Scenario, check

N_WORKERS = 2
N_CALLERS = 6

cli = typer.Typer(add_completion=False)


@cli.command()
def main(
    seconds: Annotated[float, typer.Option(help="How long each fault lasts.")] = 10.0,
    only: Annotated[str, typer.Option(help="Parts of the names of faults, separated by commas.")] = "",
    out: Annotated[Path | None, typer.Option(help="Folder for a dated report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="End with one JSON document.")] = False,
) -> None:
    """Break a real server under load, one fault after the other."""
    wanted = [part.strip().lower() for part in only.split(",") if part.strip()]
    chosen = [one for one in SCENARIOS if not wanted or any(part in one.name.lower() for part in wanted)]
    findings: dict[Scenario, Finding | str] = {}
    with Rig(N_WORKERS) as rig:
        for scenario in chosen:
            findings[scenario] = found = _found(rig, scenario, seconds)
            print(f"{scenario.name}: {_verdict(scenario, found)}", file=sys.stderr, flush=True)
    page = render(findings, seconds=seconds, n_workers=N_WORKERS, n_callers=N_CALLERS)
    if out is not None:
        path = out / f"{datetime.now(UTC).date().isoformat()}-faults.md"
        path.write_text(page)
        print(f"wrote {path}", file=sys.stderr)
    print(json.dumps(_document(findings)) if as_json else page)
    if any(isinstance(found, Finding) and check(one, found) for one, found in findings.items()):
        raise typer.Exit(1)


def _found(rig: Rig, scenario: Scenario, seconds: float) -> Finding | str:
    if scenario.name.startswith("clock") and not rig.clock.works:
        return "there is no C compiler to make a clock of"
    try:
        return scenario.run(rig, seconds)
    except RigError as error:
        print(rig.server.log()[-4000:], file=sys.stderr)
        raise SystemExit(f"{scenario.name}: {error}") from error


def _verdict(scenario: Scenario, found: Finding | str) -> str:
    if isinstance(found, str):
        return f"not run, {found}"
    return "; ".join(check(scenario, found)) or "as promised"


def _document(findings: dict[Scenario, Finding | str]) -> object:
    return {
        one.name: found
        if isinstance(found, str)
        else {
            **found._asdict(),
            "answers": found.answers._asdict(),
            "events": found.events._asdict(),
            "broken": check(one, found),
        }
        for one, found in findings.items()
    }


if __name__ == "__main__":
    cli()
