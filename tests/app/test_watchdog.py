"""A worker that hangs is replaced, one that is busy is not."""

import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import asyncio, logging, time
from app.watchdog import Watchdog

logging.basicConfig()

async def main():
    watchdog = Watchdog(asyncio.get_running_loop(), missed=10, look_seconds=0.05)
    watchdog.start()
    {does}
    watchdog.stop()
    watchdog.join()

def hang_here():
    time.sleep(100)

asyncio.run(main())
"""


def run(does: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM.format(does=does)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def test_a_loop_that_hangs_ends_its_process_and_says_where() -> None:
    ended = run("hang_here()")
    assert ended.returncode == -signal.SIGKILL
    assert "has not turned for 0.5 s" in ended.stderr
    assert "in hang_here" in ended.stderr


def test_a_loop_that_is_busy_or_idle_goes_on() -> None:
    assert run("[(time.sleep(0.1), await asyncio.sleep(0)) for _ in range(10)]").returncode == 0
    assert run("await asyncio.sleep(1)").returncode == 0
