"""What a user installs: the sdist, the wheel that pip makes of it, and what is said where it cannot be made.

Everything is built without isolation, so nothing is downloaded.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KERNELS = [ROOT / room / "kernel" for room in ("index", "training")]
NO_COMPILER = (
    "Sparrow's kernel is C++17 and no C++ compiler was found: install one (Debian: apt install g++) and run this again."
)
PIP = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    program = f"from scikit_build_core.build import build_sdist; build_sdist({str(folder)!r})"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    (packed,) = folder.glob("*.tar.gz")
    shutil.unpack_archive(packed, folder, filter="data")
    return folder / packed.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def built(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel made from the sdist, what it was compiled to (build) and its files (unpacked)."""
    folder = tmp_path_factory.mktemp("wheel")
    settings = ["-C", f"build-dir={folder / 'build'}", "-C", "cmake.define.SPARROW_STRICT=ON"]
    done = subprocess.run(
        [*PIP, *settings, "--wheel-dir", str(folder), "."], cwd=sdist, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = folder.glob("*.whl")
    shutil.unpack_archive(wheel, folder / "unpacked", format="zip")
    return folder


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_sdist_holds_the_sources_and_nothing_compiled(sdist: Path) -> None:
    names = files(sdist)
    sources = [path for kernel in KERNELS for path in kernel.iterdir() if path.is_file()]
    assert {str(path.relative_to(ROOT)) for path in sources} <= names
    assert {"CMakeLists.txt", "pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= names
    assert not [name for name in names if name.endswith((".so", ".o", ".pyc"))]


def test_the_wheel_holds_what_runs_and_no_source_of_the_kernels(built: Path) -> None:
    names = files(built / "unpacked")
    compiled = sorted(name for name in names if Path(name).suffix == ".so")
    assert compiled == [f"{room}/_kernel{sysconfig.get_config_var('EXT_SUFFIX')}" for room in ("index", "training")]
    assert not [name for name in names if "/kernel/" in name or Path(name).suffix in {".cpp", ".hpp"}]
    assert not [name for name in names if name.endswith((".png", ".pth", ".a"))]
    tops = {Path(name).parts[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"app", "index", "training"}


def test_the_wheel_holds_every_file_of_the_packages(built: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "app", "index", "training"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    there = [name for name in tracked if (ROOT / name).is_file()]
    wanted = {name for name in there if "/kernel/" not in name and not name.endswith(".png")}
    wanted = {name for name in wanted if not name.startswith("app/client/")}
    assert wanted <= files(built / "unpacked")
    assert not [name for name in files(built / "unpacked") if "app/client/" in name or "sparrow_client" in name]
    assert {"app/web/index.html", "index/py.typed", "training/datasets/goodbooks/interactions.parquet"} <= wanted


def test_the_wheel_holds_both_licences(built: Path) -> None:
    (metadata,) = (built / "unpacked").glob("*.dist-info")
    assert {"LICENSE", "training/datasets/goodbooks/LICENSE.md"} == files(metadata / "licenses")


def test_the_installed_kernel_searches_as_the_oracle_does(built: Path, tmp_path: Path) -> None:
    # -S and -P: neither the .pth file of the editable install nor the script's folder leads back to the checkout.
    unpacked = built / "unpacked"
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    done = subprocess.run(
        [sys.executable, "-S", "-P", str(ROOT / "tests" / "search_as_installed.py")],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(unpacked), *libraries])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(unpacked.resolve())


def test_what_is_compiled_for_newer_cpus_is_shared_with_nothing(built: Path) -> None:
    # Of an inline function or a template that several files use, the linker keeps any one copy. It must not be the one
    # that was compiled for AVX-512, or the portable level dies of an illegal instruction where there is none.
    objects = sorted((built / "build").rglob("loops_*.o"))
    x86 = platform.machine() in {"x86_64", "AMD64"}
    assert len(objects) == (
        5 if x86 else 2
    )  # of the search, and of the training, which has no level of its own for AVX-512
    for compiled in objects:
        lines = subprocess.run(
            ["nm", "--defined-only", "--format=posix", str(compiled)], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        symbols = [line.split()[:2] for line in lines]
        assert symbols
        assert not [name for name, kind in symbols if kind in "uvVwW"], compiled.name


def without_compiler(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    """An environment whose PATH leads to cmake and ninja only, and in which CXX is what is given, if anything."""
    for program in ("cmake", "ninja"):
        found = shutil.which(program, path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
        assert found
        (folder / program).symlink_to(found)
    inherited = {name: value for name, value in os.environ.items() if name not in {"CXX", "CMAKE_GENERATOR"}}
    return inherited | {"PATH": str(folder)} | environment


@pytest.mark.parametrize("environment", [{}, {"CXX": "/nowhere/g++"}], ids=["no compiler", "a wrong CXX"])
def test_pip_says_in_one_sentence_that_there_is_no_compiler(tmp_path: Path, environment: dict[str, str]) -> None:
    out = tmp_path / "out"
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [*PIP, "--wheel-dir", str(out), str(ROOT)],
        env=without_compiler(tmp_path / "bin", environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert (done.stdout + done.stderr).count(NO_COMPILER) == 1
    assert not list(out.glob("*.whl"))


@pytest.mark.parametrize("environment", [{}, {"CXX": "/nowhere/g++"}], ids=["no compiler", "a wrong CXX"])
@pytest.mark.parametrize("target", ["demo", "test", "kernel"])
def test_make_says_it_before_it_makes_or_downloads_anything(
    tmp_path: Path, target: str, environment: dict[str, str]
) -> None:
    make = shutil.which("make")
    assert make, "make test runs these tests, and .ci/run installs make"
    checkout = tmp_path / "checkout"
    (checkout / "index").mkdir(parents=True)
    for name in ("CMakeLists.txt", "Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, checkout)
    (tmp_path / "bin").mkdir()
    done = subprocess.run(
        [make, "--no-print-directory", target],  # this make is below the one that runs the tests
        cwd=checkout,
        env=without_compiler(tmp_path / "bin", environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stdout.splitlines() == [NO_COMPILER]
    assert not (checkout / ".venv").exists()


def test_the_client_has_a_small_wheel_of_its_own(tmp_path: Path) -> None:
    source = shutil.copytree(ROOT / "app" / "client", tmp_path / "source")
    subprocess.run([*PIP, "--quiet", "--wheel-dir", str(tmp_path), str(source)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 50_000
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(wheel, unpacked, format="zip")
    assert {path.parts[0].partition("-")[0] for path in map(Path, files(unpacked))} == {"sparrow_client"}
    assert "sparrow_client/py.typed" in files(unpacked)
    (told,) = unpacked.glob("*.dist-info/METADATA")
    needed = [line for line in told.read_text().splitlines() if line.startswith("Requires-Dist:")]
    assert sorted(re.split("[ :>=]+", line)[1] for line in needed) == ["httpx", "pydantic"]
    # -S and -P: nothing leads back to the checkout
    program = (
        "import sys, sparrow_client as c; print(c.__file__); assert not {'app', 'fastapi', 'numpy'} & set(sys.modules)"
    )
    libraries = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(unpacked), *libraries])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()).is_relative_to(unpacked.resolve())
