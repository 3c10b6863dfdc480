"""docker-compose.yml and the images keep their promises, as far as their text shows; docker/smoke-test runs them."""

import re
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from app.collector import EDITS_FILE

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BUILT = {service["image"]: service["build"] for service in SERVICES.values() if "build" in service}
OURS = sorted(name for name, service in SERVICES.items() if service["image"] in BUILT)
REQUIREMENTS: Callable[[Path, str, list[str]], list[str]] = runpy.run_path(str(ROOT / "docker" / "requirements.py"))[
    "requirements"
]


def dockerfile(service: str) -> str:
    path: str = BUILT[SERVICES[service]["image"]]["dockerfile"]
    return (ROOT / path).read_text()


def instructions(service: str, name: str) -> list[str]:
    """The arguments of every such instruction, continuation lines joined."""
    lines = dockerfile(service).replace("\\\n", " ").splitlines()
    return [line.removeprefix(name).strip() for line in lines if line.startswith(f"{name} ")]


def targets(service: str) -> dict[str, str]:
    """Where the service's named volumes are mounted: volume -> path and mode."""
    return dict(mount.split(":", 1) for mount in SERVICES[service]["volumes"])


def test_both_generations_of_compose_read_the_file() -> None:
    # `version` is obsolete in v2, `name` unknown to v1.
    assert set(COMPOSE) == {"services", "volumes"}
    used = {volume for service in SERVICES for volume in targets(service)}
    assert used == set(COMPOSE["volumes"])


def test_only_the_app_is_published_and_only_on_this_machine() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "app": ["127.0.0.1:8000:8000"]
    }
    assert not any({"network_mode", "privileged", "pid", "ipc"} & set(service) for service in SERVICES.values())


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_read_only_and_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]  # noqa: S108 - the one place where the container may write
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service


@pytest.mark.parametrize("name", OURS)
def test_our_images_do_not_run_as_root(name: str) -> None:
    assert instructions(name, "USER") == ["10001:10001"]
    final = dockerfile(name).rsplit("\nFROM ", 1)[1]
    assert final.index("USER ") > final.index("COPY ")
    assert "--uid 10001" in final


@pytest.mark.parametrize("name", OURS)
def test_new_volumes_inherit_the_owner_of_the_folder_in_the_image(name: str) -> None:
    owned = next(line for line in instructions(name, "RUN") if "install -d -o sparrow -g sparrow" in line)
    for target in targets(name).values():
        assert target.removesuffix(":ro") in owned.split()


def test_the_app_reads_snapshots_and_writes_nothing_on_disk() -> None:
    assert all(target.endswith(":ro") for target in targets("app").values())
    assert [volume for volume, target in targets("trainer").items() if target.endswith(":ro")] == ["log"]
    assert targets("trainer")["log"] == f"{targets('collector')['log']}:ro"
    assert f"edits={targets('collector')['log']}/{EDITS_FILE}\n" in (ROOT / "docker" / "train").read_text()
    assert targets("app")["snapshots"].removesuffix(":ro") == targets("trainer")["snapshots"]


def test_what_serves_has_a_health_check_and_starts_in_order() -> None:
    assert "redis-cli ping" in SERVICES["redis"]["healthcheck"]["test"][1]
    assert SERVICES["app"]["healthcheck"]["test"][:3] == ["CMD", "python", "-c"]
    assert "http://127.0.0.1:8000/readyz" in SERVICES["app"]["healthcheck"]["test"][3]
    assert SERVICES["app"]["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_what_is_put_on_streams_is_drained_into_a_volume() -> None:
    app, collector = SERVICES["app"]["environment"], SERVICES["collector"]["environment"]
    assert app["SPARROW_EVENT_LOG"] == "true"
    assert app["SPARROW_REDIS_URL"] == collector["SPARROW_REDIS_URL"]
    assert SERVICES["collector"]["entrypoint"] == ["sparrow-serve", "collect", "--log", targets("collector")["log"]]
    assert "sparrow-serve" not in dockerfile("collector")  # it removes nothing of the wheel
    assert any(line.startswith("polars") for line in REQUIREMENTS(ROOT / "pyproject.toml", "run", ["train"]))
    assert not any(line.startswith("polars") for line in REQUIREMENTS(ROOT / "pyproject.toml", "run", []))


def test_redis_is_durable_and_never_evicts() -> None:
    words = SERVICES["redis"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "everysec"
    assert options["--maxmemory-policy"] == "noeviction"
    assert targets("redis") == {"redis": options["--dir"]}


def test_up_does_not_start_the_trainer() -> None:
    # Not a profile: `docker-compose build` would leave out its image, and a stale one would train.
    assert SERVICES["trainer"]["deploy"] == {"replicas": 0}
    assert "profiles" not in SERVICES["trainer"]


def test_limits_are_in_the_form_that_both_generations_apply() -> None:
    for service in SERVICES.values():
        assert isinstance(service["mem_limit"], str)
        assert isinstance(service.get("cpus", 1.0), float)
        assert "resources" not in service.get("deploy", {})


def test_images_are_named() -> None:
    assert {name: service["image"] for name, service in SERVICES.items()} == {
        "redis": "redis:7-bookworm",
        "app": "sparrow-app",
        "collector": "sparrow-trainer",
        "trainer": "sparrow-trainer",
    }


@pytest.mark.parametrize("name", OURS)
def test_only_the_stage_that_builds_the_wheel_has_a_compiler(name: str) -> None:
    stages = dockerfile(name).split("\nFROM ")[1:]
    assert [index for index, stage in enumerate(stages) if re.search(r"apt-get install .*g\+\+", stage)] == [2]
    assert stages[2].startswith("dependencies AS code\n")
    assert stages[2].index("g++") < stages[2].index("COPY ")  # a change of code does not install it again


@pytest.mark.parametrize("name", OURS)
def test_images_share_a_base_and_install_pinned_versions_before_code(name: str) -> None:
    bases = [line.split()[0] for line in instructions(name, "FROM")]
    base = "python:3.11-slim-bookworm"
    assert bases == [base, base, "dependencies", base]
    _, dependencies, code, _ = dockerfile(name).split("\nFROM ")[1:]
    installs = [line for line in dependencies.splitlines() if "pip" in line and " install " in line]
    assert installs
    assert all("-c constraints.txt" in line for line in installs)
    assert re.findall(r"^COPY (.*)", dependencies, flags=re.MULTILINE) == [
        "constraints.txt ./",
        "--from=requirements /build/build.txt /build/run.txt ./",
    ]
    assert "--no-deps" in code


def test_the_serving_image_installs_without_the_train_extra() -> None:
    asked = [line for line in instructions("app", "RUN") if "requirements.py run" in line]
    assert len(asked) == 1
    assert "requirements.py run > run.txt" in asked[0]
    assert "requirements.py run train > run.txt" in dockerfile("trainer")
    assert "rm -r /sparrow/training" in dockerfile("app")
    assert not [line for line in REQUIREMENTS(ROOT / "pyproject.toml", "run", []) if line.startswith("torch")]


def test_requirements_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    run = REQUIREMENTS(ROOT / "pyproject.toml", "run", ["train"])
    assert run == project["project"]["dependencies"] + project["project"]["optional-dependencies"]["train"]
    assert REQUIREMENTS(ROOT / "pyproject.toml", "build", []) == project["build-system"]["requires"]
    with pytest.raises(KeyError, match="gpu"):
        REQUIREMENTS(ROOT / "pyproject.toml", "run", ["gpu"])


def test_what_the_images_copy_is_in_the_context() -> None:
    """The context is a short list; what a Dockerfile copies is on it, and environments, runs and snapshots are not."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {line[1:].rstrip("/") for line in lines if line.startswith("!")}
    assert "*" in lines
    copied = {
        source
        for name in OURS
        for line in instructions(name, "COPY")
        if not line.startswith("--from")
        for source in line.split()[:-1]
    }
    assert {source.split("/")[0] for source in copied} == allowed
    assert all((ROOT / source).exists() for source in copied)
