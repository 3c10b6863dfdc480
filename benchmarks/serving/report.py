"""The report of `benchmarks.http`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import report
from benchmarks.serving import tables
from benchmarks.tables import show as show_table

DOUBTS = """\
* **One machine.** Service, Redis and generator share its cores and its loopback: no network is in any figure. Where a
  worker has no core to itself (see the first table), rates by wall time say little; CPU time a request says more.
* **The empty endpoint is ours.** A model for the body, a model for the answer of the same size, no middleware, no
  metrics, no deadline, no shedding. `bare`, without any model, is what the server and the framework cost alone.
* **Redis GET** is by redis-py, hiredis and its pool, a round trip a request. The service reads four keys of a user in a
  round trip that the requests of one turn of its event loop share (`app/store/gathering.py`): of eight connections that
  saturate it these are a few, of one request alone it is its own. So the ratios hold under load.
* **Made-up catalogues** beyond 10k items (`benchmarks/catalogue.py`), and users who all have 77 items.
* **Latencies** are the median over rounds of each percentile. On a busy machine the tail is that of its scheduler.
* **Profiles** are samples taken from outside, of one worker; a layer is what the innermost frame says that has one.
* **We wrote both** the service and this benchmark.
"""


def show(console: Console, document: Mapping[str, Any]) -> None:
    """All tables."""
    for table in tables.of(document):
        show_table(console, table)


def write(directory: Path, document: Mapping[str, Any], plots: Sequence[tuple[str, Path]]) -> Path:
    """Write DATE-http.md, the verdicts first; `plots` are titles and files beside it."""
    noisy = [
        f"{name} {question} ({asked['disturbance']['others']:.1f})"
        for name, place in document["places"].items()
        for question, asked in place.items()
        if question != "about" and asked["disturbance"]["noisy"]
    ]
    doubts = DOUBTS + report.noise(noisy)
    ran = {**document["machine"], **document["scale"]}
    return report.assemble(directory, "http", document, doubts, ran, tables.of(document), plots)
