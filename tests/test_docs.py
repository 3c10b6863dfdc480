"""The documents are true: links lead somewhere, commands and options exist, named settings are real."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import typer
from pydantic import BaseModel
from typer.core import TyperGroup

from app.__main__ import cli as serve
from app.schemas.events import EventsRequest
from app.schemas.retrieval import HomepageAnswer, HomepageRequest
from app.settings import Settings
from index.__main__ import cli as inspect
from training.__main__ import cli as train

ROOT = Path(__file__).parents[1]
TRACKED = subprocess.run(
    ["git", "ls-files", "*.md"], capture_output=True, text=True, cwd=ROOT, check=True
).stdout.split()
DOCUMENTS = [ROOT / name for name in TRACKED if (ROOT / name).is_file()]
REQUESTS: dict[str, type[BaseModel]] = {"homepage": HomepageRequest, "events": EventsRequest}
PROGRAMS = {"sparrow-serve": serve, "sparrow-index": inspect, "sparrow-train": train}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def commands(text: str) -> list[list[str]]:
    """The sparrow-* command lines of a document's code blocks, continuation lines joined."""
    blocks = re.findall(r"```[a-z]*\n(.*?)```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    found = re.compile(r"(?:^|[\s/;&|])(sparrow-(?:serve|index|train)\b.*)")
    return [
        shlex.split(match[1], comments=True)
        for line in lines
        if (match := found.search(line)) and not line.startswith("#")
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_relative_links_lead_to_files(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", path.read_text())
    missing = [t for t in targets if "://" not in t and not t.startswith("mailto:") and not (path.parent / t).exists()]
    assert not missing


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_and_options_exist(path: Path) -> None:
    for words in commands(path.read_text()):
        command = typer.main.get_command(PROGRAMS[words[0]])
        rest = words[1:]
        while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
            assert rest[0] in command.commands, f"{words}: no such command"
            command, rest = command.commands[rest[0]], rest[1:]
        options = {"--help"} | {
            option for parameter in command.params for option in parameter.opts + parameter.secondary_opts
        }
        unknown = [word for word in rest if word.startswith("--") and word.split("=")[0] not in options]
        assert not unknown, f"{words}: {unknown}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_named_settings_exist(path: Path) -> None:
    named = set(re.findall(r"\bSPARROW_([A-Z_]+[A-Z])\b", path.read_text()))
    assert named <= {name.upper() for name in Settings.model_fields}


def test_make_targets_named_in_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"\bmake ([a-z]+)\b", (ROOT / "README.md").read_text()))
    assert {"demo", "test"} <= named
    assert not {target for target in named if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)}


def test_the_readme_maps_every_room() -> None:
    text = (ROOT / "README.md").read_text()
    rooms = [path.name for path in ROOT.iterdir() if path.is_dir() and (path / "__init__.py").exists()]
    assert [room for room in rooms if f"`{room}/`" not in text] == []


def test_the_answer_in_the_readme_is_one_of_this_api() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    page = HomepageAnswer.model_validate_json(block, strict=True)
    assert {row.kind for row in page.rows} == {"top_picks", "segment"}


def test_the_requests_in_the_readme_are_ones_of_this_api() -> None:
    text = (ROOT / "README.md").read_text()
    found = re.findall(r"/v1/(\w+) [^\n]* -d '(\{.*?\})'\n", text, flags=re.DOTALL)
    assert len(found) == text.count("curl ") >= 4
    for name, body in found:
        REQUESTS[name].model_validate_json(body)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.removeprefix("|").removesuffix("|").split("|")]


def newest(name: str) -> Path:
    """The last report of a benchmark."""
    return max((ROOT / "benchmarks" / "reports").glob(f"*-{name}.md"))


def reported(report: Path, title: str) -> dict[str, dict[str, str]]:
    """A table of a report, by the first column: the cells of a line by their headers."""
    (part,) = re.findall(rf"\*\*{re.escape(title)}.*?\*\*\n\n(.*?)\n\n", report.read_text(), re.DOTALL)
    header, _, *lines = map(cells, part.splitlines())
    return {line[0]: dict(zip(header, line, strict=True)) for line in lines}


def told_of_speed(report: Path) -> list[str]:
    """The lines of the README's table that follows the link to a report."""
    _, _, after = (ROOT / "README.md").read_text().partition(f"(benchmarks/reports/{report.name})")
    return after.split("\n\n")[1].splitlines()[2:]


def test_the_readme_tells_the_speed_of_search_of_the_newest_report() -> None:
    table = told_of_speed(newest("search"))
    wanted = []
    for catalogue in (cells(line)[0] for line in table):
        rows = reported(newest("search"), f"{catalogue}: one query, one thread")
        peers = (rows[name] for name in ("qdrant-edge", "scipy", "faiss"))
        told = [f"{peer['CPU median']} ({float(peer['by CPU']):.1f}x)" for peer in peers]
        wanted.append(" | ".join([f"| {catalogue}", rows["sparrow"]["CPU median"], *told]) + " |")
    assert table == wanted, "the table of README.md should be\n" + "\n".join(wanted)


def test_the_readme_tells_the_speed_of_the_service_of_the_newest_report() -> None:
    table, report = told_of_speed(newest("http")), newest("http")
    wanted = []
    for catalogue in (cells(line)[0] for line in table):
        most = reported(report, f"{catalogue}, 1 worker: saturated")
        late = reported(report, f"{catalogue}, 1 worker: at half of its maximum")
        told = [
            f"{most[name]['a second']} | {late[name]['p50 ms']}, {late[name]['p99']}"
            for name in ("recommend", "homepage")
        ]
        wanted.append(" | ".join([f"| {catalogue}", *told, most["empty"]["a second"], most["get"]["a second"]]) + " |")
    assert table == wanted, "the second table of README.md should be\n" + "\n".join(wanted)
