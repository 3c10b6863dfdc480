"""The rules of the house that a machine can check: who imports whom, and what no module may do."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("app", "index", "training")
FORBIDDEN = {
    "index": {"app", "training", "torch", "fastapi", "redis", "scipy", "polars"},
    "training": {"app", "fastapi"},
    "app": {"training", "torch", "scipy"},
}
LOGGING = {"app.log_files", "app.erasure", "app.rebuilding"}
"""What reads and writes Parquet; nothing of it is loaded before a command needs it."""

MODULES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path) -> Iterator[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_room_enters_only_the_rooms_it_may(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    entered = {name.split(".")[0] for name in imported(path)}
    assert not entered & FORBIDDEN[room]


def test_the_store_alone_knows_redis() -> None:
    knowing = {module_name(path) for path in MODULES if "redis" in {name.split(".")[0] for name in imported(path)}}
    assert knowing
    assert all(name.startswith("app.store.") for name in knowing)


def test_of_the_service_the_event_log_alone_knows_polars() -> None:
    knowing = {module_name(path) for path in MODULES if "polars" in {name.split(".")[0] for name in imported(path)}}
    assert {name for name in knowing if name.startswith("app.")} <= LOGGING


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_nothing_unpickles(path: Path) -> None:
    names = {name.split(".")[0] for name in imported(path)}
    assert not names & {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    text = path.read_text()
    assert "allow_pickle=True" not in text
    assert "torch.load(" not in text


@pytest.mark.parametrize("room", ROOMS)
def test_imports_inside_a_room_run_one_way(room: str) -> None:
    modules = {module_name(path): path for path in MODULES if path.relative_to(ROOT).parts[0] == room}
    edges = {name: set(imported(path)) & set(modules) - {name} for name, path in modules.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above, name))
        if name not in done:
            for used in sorted(edges[name]):
                visit(used, (*above, name))
            done.add(name)

    for name in sorted(modules):
        visit(name, ())


def test_the_server_does_not_load_torch() -> None:
    heavy = {"torch", "scipy", "polars", "training"}
    program = f"import sys, app.main, app.__main__; print(*sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_code_is_ascii_and_introduces_itself(path: Path) -> None:
    text = path.read_text()
    assert text.isascii(), [line for line in text.splitlines() if not line.isascii()][:3]
    assert ast.get_docstring(ast.parse(text)), f"{path} has no module docstring"


def test_the_top_level_is_what_the_readme_maps() -> None:
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split(
        "\n"
    )
    top = {name.split("/")[0] for name in listed if name}
    allowed = {"app", "training", "index", "tests", "docker", "benchmarks", "docker-compose.yml", "pyproject.toml"}
    allowed |= {"README.md", "CHANGELOG.md", "LICENSE", "CMakeLists.txt", "Makefile", "constraints.txt"}
    assert {name for name in top if not name.startswith(".")} <= allowed
