"""The rows that a page may have, with their words; which of them it has is decided by `index.assembly`."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from app.anchors import because_rows
from app.layout import Place, laid_out, popular_row, top_picks
from app.novelty import new_row, newest, telling_when
from app.opinions import NO_OPINIONS
from app.placing import Laid, Size
from app.popular import popular, popular_in_segment
from app.properties import property_rows
from app.pursuit import SAME_TASTE, pursue
from app.rankings import POOL, Pool
from app.recommend import crowd as crowd_query
from app.recommend import segment_reasons
from app.schemas.layout import LayoutRow, RowKind
from app.shelf import Placed, Row, row_id_of
from app.worth import worth_at, worth_of_first
from index.assembly import Assembly, Demands, Part, frame
from index.search import Hits, typical_hits
from index.snapshot import Snapshot

BROAD: frozenset[RowKind] = frozenset({"top_picks", "popular"})
"""Rows of anything: they give way to others, so what they hold is no reason against a row."""


class Candidates:
    """Rows with their words, and the assembly that knows their items."""

    def __init__(self, snapshot: Snapshot, ranking: Hits, size: Size, laid: Sequence[Laid] = ()) -> None:
        """The ranking says what items are worth to the user; the rows of the layout are on the page."""
        self.snapshot, self._ranking, self._size = snapshot, ranking, size
        worth = worth_of_first(len(ranking.items))
        n_columns = max(size.row_size, *(one.part.size for one in laid), 0)
        self._assembly = Assembly(ranking, worth, worth_at(POOL), frame(size.n_rows, n_columns))
        self._rows: list[Row | int] = []
        """In the order in which the assembly knows them; a segment of the ranking is its number: most are not used."""
        self._ids: set[str] = set(size.shown)
        self.laid = {one.row.row_id: one for one in laid}
        for row, part, _ in laid:
            self._add(row, part)

    def keep(self, rows: Iterable[Placed]) -> None:
        """Rows that are on the page, with their items."""
        for place, row in rows:
            self._add(row, Part(len(row.hits.items), at=place, wanted=True, claims=True))

    def add(self, rows: Iterable[Row]) -> None:
        """Rows that may be on the page, unless they were shown further up or are on it for other reasons."""
        size = self._size
        for row in rows:
            if row.row_id not in self._ids:
                weight = size.emphasis.weights.get(row.kind, 1.0) * self._staying(row.row_id)
                self._add(row, Part(size.row_size, weight, yields=row.kind in BROAD))

    def add_popular(self, row: Row, *, first: bool) -> None:
        """What everybody likes, which somebody of whom nothing is known sees first."""
        if row.row_id not in self._ids:
            self._add(row, Part(self._size.row_size, at=0 if first else -1, yields=True))

    def _add(self, row: Row, part: Part) -> None:
        self._rows.append(row)
        self._ids.add(row.row_id)
        self._assembly.add(row.hits, part)

    def add_segments(self) -> None:
        """The segments that the ranking fills best."""
        size, segments = self._size, self.snapshot.segments
        weight, used = size.emphasis.weights["segment"], self._used_segments()
        found = self._assembly.add_segments(segments, size.n_segments, size.min_fill, size.row_size, weight, used)
        for candidate, number in enumerate(found if size.last else (), len(self._rows)):
            staying = self._staying(row_id_of("segment", segments.segments[number].segment_id))
            self._assembly.weigh(candidate, staying)
        self._rows += found

    def _used_segments(self) -> list[int]:
        """Numbers of the segments that are rows already."""
        segments = self.snapshot.segments
        if self._size.shown:
            numbered = enumerate(segments.segments)
            return [number for number, one in numbered if row_id_of("segment", one.segment_id) in self._ids]
        own = (row.key for row in self._rows if isinstance(row, Row) and row.kind == "segment")
        return [number for number in map(segments.number, own) if number is not None]

    def _staying(self, row_id: str) -> float:
        return 1 + self._size.emphasis.stability if row_id in self._size.last else 1.0

    def page(self) -> list[Placed]:
        """The page that they make, top row first."""
        size = self._size
        demands = Demands(size.min_fill, size.max_overlap, size.emphasis.diversity, SAME_TASTE)
        placed = self._assembly.page(demands, self.snapshot.segment_cosines)
        return [Placed(one.row, self._worded(self._rows[one.candidate], one.hits)) for one in placed]

    def whole(self, placed: Sequence[Placed]) -> list[Row]:
        """Some rows of the page and then all candidates, none twice, each with its whole ranking."""
        numbers = [row for row in self._rows if isinstance(row, int)]
        rankings = dict(zip(numbers, typical_hits(self.snapshot.segments, numbers, self._ranking), strict=True))
        everything = [self._worded(row, rankings[row] if isinstance(row, int) else row.hits) for row in self._rows]
        by_id = {row.row_id: row for row in everything}
        first_of_all = (by_id[row.row_id] for _, row in placed)
        return list({row.row_id: row for row in (*first_of_all, *everything)}.values())

    def _worded(self, row: Row | int, hits: Hits) -> Row:
        return row.holding(hits) if isinstance(row, Row) else segment_row(self.snapshot, row, "", hits, row)


def personal(place: Place, layout: Sequence[LayoutRow], pool: Pool, in_time: Callable[[], bool]) -> Candidates:
    """What the user's taste ranks highest: top picks, because-rows, segments and more; late, top picks alone."""
    snapshot, profile, size = place.snapshot, place.profile, place.size
    found = Candidates(snapshot, pool.above, size, laid_out(place, layout))
    weights = size.emphasis.weights
    found.add([top_picks(place)])
    if in_time():
        if weights["because"]:
            found.add(because_rows(snapshot, profile, size, pool.above))
        found.add(_others(place, pool.above))
        if weights["segment"]:
            found.add_segments()
    return found


def _others(place: Place, ranking: Hits) -> Iterator[Row]:
    """Rows of kinds that are weighed away by default."""
    weights, newness = place.size.emphasis.weights, place.size.emphasis.newness
    if weights["property"] and place.profile.opinions:
        yield from property_rows(place.snapshot, place.profile, place.size, ranking)
    if weights["new"] and newness is not None and newness in telling_when(place.snapshot):
        new = newest(place.snapshot, newness, "").has(ranking.items)
        yield new_row(newness, Hits(ranking.items[new], ranking.scores[new]), personal=True)
    if weights["popular"]:
        yield popular_row(place)


def crowd(
    place: Place, layout: Sequence[LayoutRow], above: Sequence[Placed], in_time: Callable[[], bool]
) -> Candidates:
    """Beside rows that there are: what everybody likes and segments of the crowd; late, what everybody likes."""
    hits = popular(place.snapshot, place.profile.exclude, max(POOL, place.size.depth), place.selection)
    place = place._replace(ranking=hits) if not place.profile.personal else place
    found = Candidates(place.snapshot, hits, place.size, laid_out(place, layout))
    found.keep(above)
    found.add_popular(popular_row(place), first=not above)
    if in_time() and place.size.emphasis.weights["segment"]:
        found.add(_crowd_segments(place))
    return found


def _crowd_segments(place: Place) -> Iterator[Row]:
    """The segments that most people like, with their most popular items."""
    snapshot, size = place.snapshot, place.size
    everybody = place.profile._replace(query=crowd_query(snapshot), opinions=NO_OPINIONS, personal=False)
    numbers = pursue(snapshot, everybody, size.n_segments + len(size.shown), place.selection)
    for number, reason in zip(numbers, segment_reasons(snapshot, everybody, numbers), strict=True):
        hits = popular_in_segment(snapshot, number, place.profile.exclude, size.depth, place.selection)
        yield segment_row(snapshot, number, reason, hits)._replace(crowd=True)


def segment_row(snapshot: Snapshot, number: int, reason: str, hits: Hits, unexplained: int | None = None) -> Row:
    """A segment as a row."""
    segment = snapshot.segments.segments[number]
    return Row("segment", segment.segment_id, segment.title, reason, hits, segment=unexplained)
