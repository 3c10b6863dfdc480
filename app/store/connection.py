"""Redis, or a Redis Cluster, for the rest of the store: calls in, replies out, StoreUnavailable where that fails.

A call is one or more commands on keys of one partition, sent together. What may be repeated without harm is asked once
more, a little later, where a connection broke; a call that was slow is not, for whoever waits has waited enough.
"""

import asyncio
import logging
import random
import ssl
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, NamedTuple

import hiredis

from app.metrics import Metrics
from app.settings import Settings
from app.store.cluster import ASKING, SLOTS, holders, redirection
from app.store.keys import PARTITIONS
from app.store.lane import Lost, Reply, Slow, Target, Unreachable, parse_url
from app.store.node import PING, Node, Use

log = logging.getLogger(__name__)

RETRY_SECONDS = 0.02
"""Before a call is repeated; a random part of it, so that many callers do not come back at once."""

REDIRECTIONS = 5
"""Followed for one call: while slots move, and after a node was replaced."""

RELEARN_SECONDS = 1.0
"""Between looks at who holds what in a cluster, while nodes are away."""

REPLACED = ("READONLY", "MASTERDOWN")
"""Refusals of a server that is not, or no longer, the one to ask: the address may lead to another one by now."""

Doing = Literal["reading", "recording", "forgetting", "counting"]
"""What may fail apart from the rest: a full Redis can be read, records nothing, and forgets."""


class StoreUnavailable(Exception):  # noqa: N818  (the name says what is the matter)
    """The user store cannot be reached or cannot answer; the caller may go on without it."""


class Call(NamedTuple):
    """Commands on keys of one partition."""

    partition: int
    commands: tuple[bytes, ...]
    """Each as `lane.pack` makes it."""


class Connection:
    """All connections of one process. It opens nothing before it is asked, and needs a running event loop then."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        if settings.redis_url is None:
            raise ValueError("redis_url is not set: give SPARROW_REDIS_URL, or use sparrow-serve, which starts a store")
        self._address = parse_url(settings.redis_url.get_secret_value())
        self._timeout = settings.store_timeout_ms / 1000
        self._context = _tls(settings) if self._address.targets[0].tls else None
        self._nodes: dict[Target, Node] = {}
        self._single = None if self._address.cluster else self._node(self._address.targets[0])
        self._holders: dict[int, Target] = {}
        self._learning: asyncio.Task[None] | None = None
        self._learned_at = -RELEARN_SECONDS
        self._metrics = metrics
        self._failing: set[Doing] = set()

    @property
    def left_alone(self) -> int:
        """Servers that failed so often that they are not asked at present."""
        return sum(node.left_alone for node in self._nodes.values())

    @property
    def waiting(self) -> int:
        """Calls that were sent and not answered yet."""
        return sum(node.waiting for node in self._nodes.values())

    async def close(self) -> None:
        """Close all connections."""
        if self._learning is not None:
            self._learning.cancel()
        for node in self._nodes.values():
            await node.close()

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers; of a cluster, the node of the first partition."""
        await self.run([Call(0, (PING,))], "read", "reading", repeat=True)

    async def run(
        self, calls: Sequence[Call], use: Use, doing: Doing, *, repeat: bool, telling: bool = True
    ) -> list[list[Reply]]:
        """The replies to each call, in one round trip (one to each node of a cluster).

        `repeat`: carrying it out twice does no harm. `telling` is false where success would not mean that an outage of
        what is being done is over. A refusal is a reply, see `checked`.
        """
        try:
            try:
                replies = await self._once(calls, use)
            except Lost as error:
                if not repeat or isinstance(error, Slow) or (self._single and isinstance(error, Unreachable)):
                    raise
                await asyncio.sleep(random.uniform(0, RETRY_SECONDS))  # noqa: S311
                replies = await self._once(calls, use)
        except Lost as error:
            raise self.failed(doing, error) from error
        if telling and doing in self._failing:
            self._recovered(doing, replies)
        return replies

    def checked(self, replies: Sequence[Reply], doing: Doing) -> None:
        """Raise StoreUnavailable where Redis refused a command."""
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError):
                raise self.failed(doing, reply)

    def failed(self, doing: Doing, error: Exception) -> StoreUnavailable:
        """Count and log a failure, once an outage and not once a request; the exception to raise."""
        self._metrics.store_errors.inc()
        if doing not in self._failing:
            log.warning("user store unavailable for %s: %s: %s", doing, type(error).__name__, error)
        self._failing.add(doing)
        return StoreUnavailable("the user store does not answer")

    def _recovered(self, doing: Doing, replies: Sequence[Sequence[Reply]]) -> None:
        if not any(isinstance(reply, hiredis.ReplyError) for own in replies for reply in own):
            log.info("user store available again for %s", doing)
            self._failing.discard(doing)

    async def _once(self, calls: Sequence[Call], use: Use) -> list[list[Reply]]:
        if self._single is None:
            return await self._in_cluster(calls, use)
        if len(calls) == 1:
            commands = calls[0].commands
            replies = await self._single.ask(b"".join(commands), len(commands), use)
            self._look(self._single, replies)
            return [replies]
        return await self._together(self._single, calls, use)

    async def _together(self, node: Node, calls: Sequence[Call], use: Use) -> list[list[Reply]]:
        """Calls to one server as one."""
        commands = [command for call in calls for command in call.commands]
        replies = iter(await node.ask(b"".join(commands), len(commands), use)) if commands else iter(())
        found = [[next(replies) for _ in call.commands] for call in calls]
        for own in found:
            self._look(node, own)
        return found

    async def _in_cluster(self, calls: Sequence[Call], use: Use) -> list[list[Reply]]:
        """Calls by the nodes that hold their partitions, all nodes at once."""
        if any(call.partition not in self._holders for call in calls):
            await self._learn()
        by_node: dict[Node, list[int]] = defaultdict(list)
        for number, call in enumerate(calls):
            by_node[self._holder(call.partition)].append(number)
        found: list[list[Reply]] = [[]] * len(calls)

        async def one(node: Node, numbers: Sequence[int]) -> None:
            own = [calls[number] for number in numbers]
            replies = await self._together(node, own, use)
            for number, call, answered in zip(numbers, own, replies, strict=True):
                found[number] = await self._redirected(node, call, answered, use)

        try:
            await asyncio.gather(*(one(node, numbers) for node, numbers in by_node.items()))
        except Lost:
            # A replica may have taken over. Nobody waits for it: other partitions are well.
            if time.monotonic() - self._learned_at >= RELEARN_SECONDS:
                self._ask_who_holds_what()
            raise
        return found

    async def _redirected(self, node: Node, call: Call, replies: list[Reply], use: Use) -> list[Reply]:
        """The replies, after commands that the node sent elsewhere (and did not carry out) have been asked there."""
        for number, command in enumerate(call.commands):
            asked = node
            for _ in range(REDIRECTIONS):
                sent = redirection(replies[number], asked.target)
                if sent is None:
                    break
                target, once = sent
                asked = self._node(target)
                if once:
                    _, replies[number] = await asked.ask(ASKING + command, 2, use)
                else:
                    self._holders[call.partition] = target
                    (replies[number],) = await asked.ask(command, 1, use)
        return replies

    async def _learn(self) -> None:
        """Ask who holds what; all who need to know wait for the same answer."""
        await asyncio.shield(self._ask_who_holds_what())

    def _ask_who_holds_what(self) -> "asyncio.Task[None]":
        if self._learning is None:
            self._learned_at = time.monotonic()
            self._learning = asyncio.create_task(self._ask_around())
            self._learning.add_done_callback(self._learned)
        return self._learning

    def _learned(self, done: "asyncio.Task[None]") -> None:
        self._learning = None
        if not done.cancelled():
            done.exception()  # whoever waits raises it; where nobody does any more it is of no interest

    async def _ask_around(self) -> None:
        reason = Lost("no node of the cluster knows who holds what")
        for target in {**dict.fromkeys(self._nodes), **dict.fromkeys(self._address.targets)}:
            try:
                (ranges,) = await self._node(target).ask(SLOTS, 1, "read")
            except Lost as error:
                reason = error
                continue
            if isinstance(ranges, hiredis.ReplyError):
                reason = Lost(f"{target} says: {ranges}")
            elif found := holders(ranges, target):
                self._holders = found
                return
        raise reason

    def _holder(self, partition: int) -> Node:
        target = self._holders.get(partition)
        if target is None:
            raise Lost(f"no node of the cluster holds partition {partition} of {PARTITIONS}")
        return self._node(target)

    def _node(self, target: Target) -> Node:
        node = self._nodes.get(target)
        if node is None:
            node = self._nodes[target] = Node(target, self._timeout, self._context)
        return node

    def _look(self, node: Node, replies: Sequence[Reply]) -> None:
        for reply in replies:
            if isinstance(reply, hiredis.ReplyError) and str(reply).startswith(REPLACED):
                node.drop(str(reply))
                return


def _tls(settings: Settings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.redis_ca)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"SPARROW_REDIS_CA: {settings.redis_ca} holds no certificates that can be read") from error
