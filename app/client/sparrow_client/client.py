"""Sparrow's HTTP API as methods.

with Client("http://127.0.0.1:8000") as sparrow:
    page = sparrow.homepage(user_id="u1", device="phone")
"""

import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx

from sparrow_client import answers, asked, operations
from sparrow_client.errors import Problem, Unreachable
from sparrow_client.operations import Call
from sparrow_client.retrying import ONCE, Retrying

A = TypeVar("A")


class Client:
    """One server. May be shared by threads. Raises Problem and Unreachable.

    `timeout_seconds` is for each try; what the server calls overloaded, too many or unavailable, and connections that
    break, are tried again. `key`: where the server needs one. `transport`: another way to the server than the network.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout_seconds: float = 5.0,
        retrying: Retrying | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout_seconds, transport=transport)
        self._retrying = Retrying() if retrying is None else retrying

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def recommend(self, **wanted: Unpack[asked.Recommend]) -> answers.Items:
        """The best items for a user, best first."""
        return self._send(operations.RECOMMEND.call(body=wanted))

    def homepage(self, **wanted: Unpack[asked.Homepage]) -> answers.Page:
        """A page of titled rows, top first."""
        return self._send(operations.HOMEPAGE.call(body=wanted))

    def similar(self, **wanted: Unpack[asked.Similar]) -> answers.Items:
        """Items like one or several items."""
        return self._send(operations.SIMILAR.call(body=wanted))

    def more(self, **wanted: Unpack[asked.Next]) -> answers.More:
        """More of an answer that was asked for with cursors; none that was given before."""
        return self._send(operations.MORE.call(body=wanted))

    def batch(self, **wanted: Unpack[asked.Batch]) -> answers.Batch:
        """Up to 20 requests in one, by one version of the index."""
        return self._send(operations.BATCH.call(body=wanted))

    def explain(self, **wanted: Unpack[asked.Explain]) -> answers.Explanations:
        """What the scores of items are made of."""
        return self._send(operations.EXPLAIN.call(body=wanted))

    def segments(self, **wanted: Unpack[asked.SegmentsQuery]) -> answers.SegmentList:
        """The segments of the index."""
        return self._send(operations.SEGMENTS.call(query=wanted))

    def segments_for(self, **wanted: Unpack[asked.SegmentsFor]) -> answers.Segments:
        """The segments of a user, strongest first."""
        return self._send(operations.SEGMENTS_FOR.call(body=wanted))

    def segment(self, segment_id: str) -> answers.SegmentDetail:
        """One segment and its most typical items."""
        return self._send(operations.SEGMENT.call(ids={"segment_id": segment_id}))

    def segment_items(self, segment_id: str, **wanted: Unpack[asked.Recommend]) -> answers.Items:
        """Items of one segment, as a user would rank them."""
        return self._send(operations.SEGMENT_ITEMS.call(ids={"segment_id": segment_id}, body=wanted))

    def edit_segment(self, segment_id: str, **wanted: Unpack[asked.Edit]) -> answers.SegmentDetail:
        """Give a segment another title, hide it, or make it a part of another; None takes an edit back."""
        return self._send(operations.EDIT_SEGMENT.call(ids={"segment_id": segment_id}, body=wanted))

    def segment_edits(self) -> answers.SegmentEdits:
        """All edits of segments."""
        return self._send(operations.SEGMENT_EDITS.call())

    def replace_edits(self, **wanted: Unpack[asked.Edits]) -> answers.ReplacedEdits:
        """Replace all edits of segments."""
        return self._send(operations.REPLACE_EDITS.call(body=wanted))

    def items(self, **wanted: Unpack[asked.ItemsQuery]) -> answers.CataloguePage:
        """Items by their text and properties, most popular first."""
        return self._send(operations.ITEMS.call(query=wanted))

    def item(self, item_id: str) -> answers.CatalogueItem:
        """One item and its properties."""
        return self._send(operations.ITEM.call(ids={"item_id": item_id}))

    def user(self, user_id: str, **wanted: Unpack[asked.UserQuery]) -> answers.User:
        """What is stored about a user; Problem 404 where nothing is."""
        return self._send(operations.USER.call(ids={"user_id": user_id}, query=wanted))

    def export(self, user_id: str) -> answers.Export:
        """Everything that is stored about a user."""
        return self._send(operations.EXPORT.call(ids={"user_id": user_id}))

    def steer(self, user_id: str, **wanted: Unpack[asked.Steer]) -> answers.Steering:
        """Store how much more or less of which segments a user wants, instead of what was stored."""
        return self._send(operations.STEER.call(ids={"user_id": user_id}, body=wanted))

    def merge(self, target: str, source: str) -> None:
        """Add all that is known about one user to another, and forget the first."""
        self._send(operations.MERGE.call(ids={"target": target, "source": source}))

    def forget(self, user_id: str) -> None:
        """Forget a user at once."""
        self._send(operations.FORGET.call(ids={"user_id": user_id}))

    def versions(self) -> answers.Versions:
        """The index versions that may be asked for."""
        return self._send(operations.VERSIONS.call())

    def info(self) -> answers.Info:
        """What is served."""
        return self._send(operations.INFO.call())

    def metrics(self) -> str:
        """For Prometheus, as text."""
        return self._send(operations.METRICS.call())

    def live(self) -> answers.Live:
        """That the process answers."""
        return self._send(operations.LIVE.call())

    def ready(self) -> answers.Ready:
        """That an index is loaded; Problem 503, without another try, where none is."""
        return self._send(operations.READY.call(), ONCE)

    def events(self, events: Iterable[asked.Event]) -> list[answers.EventResult]:
        """Record events, any number: one result for each, in order.

        Each is given an event_id, unless it has one, so that none counts twice however often it is sent. Where this
        raises, those of earlier requests have been recorded: give event_ids to send all of them again.
        """
        results: list[answers.EventResult] = []
        for call in operations.event_calls(events):
            results += (self._send(call)).results
        return results

    def _send(self, call: Call[A], retrying: Retrying | None = None) -> A:
        """Ask until there is an answer, or no point in asking."""
        retrying = self._retrying if retrying is None else retrying
        n_tried = 0
        while True:
            n_tried += 1
            outcome = self._try(call)
            if isinstance(outcome, httpx.Response) and outcome.is_success:
                return call.read(outcome.content)
            pause = retrying.pause(n_tried, outcome)
            if pause is None:
                break
            time.sleep(pause)
        if isinstance(outcome, httpx.Response):
            raise Problem(outcome)
        raise Unreachable(f"{call.method} {call.path}: {outcome}") from outcome

    def _try(self, call: Call[A]) -> httpx.Response | httpx.TransportError:
        try:
            return self._http.request(call.method, call.path, content=call.content, params=call.query)
        except httpx.TransportError as error:
            return error
