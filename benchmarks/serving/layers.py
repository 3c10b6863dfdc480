"""Where does the time of a recommendation go? Samples of a worker's stack while it is saturated, by layer.

py-spy looks at the process from outside a few hundred times a second. A sample belongs to the layer of the innermost
frame that has one; microseconds are the layer's share of the CPU time that a request takes.
"""

import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.comparison import Finding
from benchmarks.serving import drive
from benchmarks.serving.stage import Scale, Stage
from index.types import JSON

HERTZ = 400
NAMES = ("recommend", "homepage")
OTHER = "event loop and the rest"
TOP = 25
"""Functions that are named one by one."""
IDLE = ("concurrent/futures/thread.py", "multiprocessing/connection.py", "selectors.py", "threading.py")
"""Threads that wait in these look busy from outside."""

PAGE = ("homepage", "candidates", "rankings", "anchors", "pursuit", "placing", "shelf")
"""Modules that make a page."""

RULES: tuple[tuple[str, str, str], ...] = (
    ("httptools_impl.py", "send", "writing"),
    ("httptools_impl.py", "", "parser"),
    ("app/protocol.py", "", "parser"),
    ("app/telemetry.py", "__enter__", "stage clocks"),
    ("app/telemetry.py", "__exit__", "stage clocks"),
    ("app/telemetry.py", "", "middleware"),
    ("app/shortcut.py", "", "routing and dependencies"),
    ("app/shedding.py", "", "middleware"),
    ("app/security.py", "", "middleware"),
    ("app/metrics.py", "", "middleware"),
    ("prometheus_client/", "", "middleware"),
    ("app/tracing.py", "", "middleware"),
    ("starlette/middleware", "", "middleware"),
    ("app/store/", "", "state read"),
    ("app/inquiry.py", "read_user", "state read"),
    ("asyncio/timeouts.py", "", "state read"),
    ("app/inquiry.py", "profile", "encode"),
    ("app/inquiry.py", "interactions", "encode"),
    ("app/recommend.py", "resolve", "encode"),
    ("app/recommend.py", "_opinions", "encode"),
    ("app/recommend.py", "_query", "encode"),
    ("app/opinions.py", "", "encode"),
    ("app/steering.py", "", "encode"),
    ("index/query.py", "", "encode"),
    ("app/recommend.py", "", "search"),
    *((f"app/{name}.py", "", "search") for name in PAGE),
    ("app/selection.py", "", "search"),
    ("app/ordering.py", "", "search"),
    ("app/popular.py", "", "search"),
    ("index/search.py", "", "search"),
    ("app/composing.py", "", "compose"),
    ("app/inquiry.py", "", "compose"),
    ("app/answers.py", "", "compose"),
    ("app/continuing.py", "", "compose"),
    ("app/cursors.py", "", "compose"),
    ("app/attribution.py", "", "compose"),
    ("fastapi/routing.py", "serialize_response", "serialisation"),
    ("starlette/responses.py", "", "serialisation"),
    ("app/wire.py", "", "serialisation"),
    ("app/schemas/", "", "validation"),
    ("json/", "", "validation"),
    ("fastapi/dependencies/utils.py", "request_body_to_args", "validation"),
    ("starlette/requests.py", "", "validation"),
    ("email/", "", "validation"),
    ("app/routes/", "", "routing and dependencies"),
    ("app/deps.py", "", "routing and dependencies"),
    ("fastapi/", "", "routing and dependencies"),
    ("starlette/", "", "routing and dependencies"),
)
"""Part of a file's path, function ("": any), layer; the first that fits counts."""

LAYERS = (*dict.fromkeys(layer for _, _, layer in RULES), OTHER)


def steps(scale: Scale) -> int:  # noqa: ARG001  (of all questions)
    """How often `measure` calls done."""
    return len(NAMES)


def measure(stage: Stage, scale: Scale, done: Callable[[float], None]) -> Finding:
    """Sample a worker under each kind of traffic; nothing where py-spy is missing or may not look."""
    figures: dict[str, JSON] = {}
    for name in NAMES:
        told = _profile(stage, scale, name)
        if told is not None:
            figures[name] = told
        done(1)
    return Finding(figures, {})


def _profile(stage: Stage, scale: Scale, name: str) -> dict[str, JSON] | None:
    seconds = scale.profile_seconds
    connections = scale.closed_connections * stage.n_workers
    with ThreadPoolExecutor(1) as pool, tempfile.TemporaryDirectory(prefix="sparrow-profile-") as folder:
        load = pool.submit(drive.closed, stage.sparrow, stage.traffic[name], connections, seconds + 1)
        samples = _samples(stage.sparrow.busiest(), seconds, Path(folder) / "raw")
        load.result()
    if not samples:
        return None
    # CPU time of a request without somebody looking on
    before = stage.sparrow.cpu_seconds()
    served = drive.closed(stage.sparrow, stage.traffic[name], connections, scale.seconds)
    cpu_us = 1e6 * (stage.sparrow.cpu_seconds() - before) / max(1, len(served))
    total = sum(samples.values())
    by_layer = Counter[str]()
    by_function = Counter[str]()
    for frames, n in samples.items():
        by_layer[layer_of(frames)] += n
        by_function[frames[-1]] += n
    return {
        "samples": total,
        "cpu_us": cpu_us,
        "layers_us": {layer: cpu_us * by_layer[layer] / total for layer in LAYERS if by_layer[layer]},
        "functions_us": {function: cpu_us * n / total for function, n in by_function.most_common(TOP)},
    }


def layer_of(frames: Iterable[str]) -> str:
    """Of a stack, the outermost frame first, each as "function (path/file.py:line)"."""
    for frame in reversed(list(frames)):
        function, _, rest = frame.partition(" (")
        function, path = function.rpartition(".")[2], rest.partition(":")[0]
        for part, named, layer in RULES:
            if part in path and named in ("", function):
                return layer
    return OTHER


def _samples(pid: int, seconds: float, path: Path) -> Mapping[tuple[str, ...], int]:
    """How often each stack was seen; none where it cannot be looked at."""
    program = Path(sysconfig.get_path("scripts")) / "py-spy"
    options = ["--rate", str(HERTZ), "--duration", str(max(1, round(seconds))), "--format", "raw", "--full-filenames"]
    command = [str(program), "record", "--pid", str(pid), *options, "--output", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        sys.stderr.write("no profile: py-spy is not installed\n")
        return {}
    if done.returncode:
        sys.stderr.write(f"no profile: {done.stderr.strip().splitlines()[-1:]}\n")
        return {}
    return read(path.read_text())


def read(text: str) -> dict[tuple[str, ...], int]:
    """Stacks as py-spy writes them: frames with semicolons, a space, how often."""
    found: Counter[tuple[str, ...]] = Counter()
    for line in text.splitlines():
        stack, _, n = line.rpartition(" ")
        innermost = stack.rpartition(";")[2]
        if not any(idle in innermost for idle in IDLE):
            found[tuple(stack.split(";"))] += int(n)
    return dict(found)
