"""Requests made from the OpenAPI document, right and wrong ones, and chains of them, against a real server.

The runner of schemathesis makes them, with all its checks and ours (conformance.py): no 5xx, no undocumented status, no
answer of another shape, nothing without a key, nothing accepted that the document forbids, every error a problem.

FUZZ_EXAMPLES=1000 pytest -s tests/app/test_schemathesis.py makes a long run of it, and tells of it.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import uvicorn

from app import keys
from app.main import create_app
from app.server import config_of
from app.settings import Settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
"""Requests for each operation, and four times as many chains; thousands come on top, at the bounds of the document."""

REPEATABLE = "FUZZ_EXAMPLES" not in os.environ
"""The same requests each time, so that a change of the code alone decides; a long run makes new ones."""

CONFIG = f"""
warnings = false
continue-on-failure = true

[generation]
max-examples = {EXAMPLES}
deterministic = {str(REPEATABLE).lower()}

[phases.fuzzing.extra-data-sources]
responses = false  # chains do that: here the time for a request would grow with their number

[phases.stateful.generation]
max-examples = {4 * EXAMPLES}

[checks.positive_data_acceptance]
# 422: what no schema can say, such as which properties items have. 404: ids that are made up.
expected-statuses = ["2xx", "404", "422"]

[checks.negative_data_rejection]
# As without this line, and 413 and 431: what is wrong may be too long as well.
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "431"]

[[operations]]
include-path = "/v1/next"
checks.positive_data_acceptance.expected-statuses = ["2xx", "400", "422"]  # cursors that are made up

[[operations]]
include-path = "/v1/segments/recommend"
checks.allow_header_conformance.enabled = false  # GET is allowed there too: it asks for a segment of that name

[[operations]]
include-path = "/v1/segments/edits"
checks.allow_header_conformance.enabled = false  # so is PATCH
"""


class Served(NamedTuple):
    address: str
    key: str

    def requests(self) -> int:
        """That were answered so far."""
        exposition = httpx.get(f"{self.address}/metrics", headers={"Authorization": f"Bearer {self.key}"}).text
        return sum(int(float(n)) for n in re.findall(r"^sparrow_requests_total\{.*\} (\S+)$", exposition, re.MULTILINE))


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Iterator[Served]:
    """A server in a thread, which wants a key."""
    key = keys.add(tmp_path / "keys", "fuzz", "admin")
    settings = settings.model_copy(update={"keys_file": tmp_path / "keys"})
    config = config_of(settings, lambda: create_app(settings))
    config.port, config.log_config = 0, None
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    (port,) = {socket.getsockname()[1] for one in server.servers for socket in one.sockets}
    yield Served(f"http://127.0.0.1:{port}", key)
    server.should_exit = True
    thread.join()


def test_all_that_the_document_says_holds(served: Served, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [
            *(Path(sys.executable).with_name("st"), "--config-file", tmp_path / "schemathesis.toml"),
            *("run", f"{served.address}/openapi.json", "--header", f"Authorization: Bearer {served.key}", "--no-color"),
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("conformance.py"))},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    report = "\n".join(line[:500] for line in done.stdout.splitlines())
    assert done.returncode == 0, report + done.stderr
    (generated,) = re.findall(r"(\d+) generated", report)
    sys.stdout.write(f"{generated} requests generated, {served.requests()} answered\n{report}\n")
    assert int(generated) > 1000
    assert served.requests() > 0.99 * int(generated), "all but a few, which are no HTTP and never become requests"
