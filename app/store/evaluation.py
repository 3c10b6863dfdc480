"""Running scripts: by their name, and by their text where Redis does not know it (any more)."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError

from app.store.connection import Call, Connection, Doing, Reply
from app.store.script import Script


class Run(NamedTuple):
    """One run of a script, on keys of one partition."""

    partition: int
    keys: Sequence[bytes]
    arguments: Sequence[Any]


async def evaluate(
    connection: Connection, script: Script, runs: Sequence[Run], doing: Doing, *, repeat: bool, telling: bool = True
) -> list[Reply]:
    """What each run returns, in one round trip; two where Redis forgot the script. StoreUnavailable.

    For `repeat` and `telling` see `Connection.run`.
    """

    async def send(numbers: Sequence[int], *command: str) -> list[Reply]:
        calls = [_call(runs[number], command) for number in numbers]
        return await connection.run(calls, doing, repeat=repeat, telling=telling)

    replies = await send(range(len(runs)), "EVALSHA", script.sha)
    missing = [number for number, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if missing:
        # Its text, which a server remembers: one such run for each of them would do.
        for number, reply in zip(missing, await send(missing, "EVAL", script.text), strict=True):
            replies[number] = reply
    connection.checked(replies, doing)
    return replies


def _call(run: Run, command: Sequence[str]) -> Call:
    return Call(run.partition, (*command, len(run.keys), *run.keys, *run.arguments))
