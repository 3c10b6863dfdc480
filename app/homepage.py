"""The page: titled rows of items for one user, assembled as one: what matters most top-left, no item twice.

Candidates are made first (`app.candidates`): top picks, what goes with single items, segments, what everybody likes.
Which of them the page has, and which items stand in them, follows from one objective (`index.assembly`). Rows get their
reasons last, all at once.
"""

from collections.abc import Callable, Iterator, Sequence

from app import candidates
from app.candidates import Candidates
from app.layout import Place, cells
from app.ordering import NO_HITS, PLAIN, Ordering
from app.placing import Size, in_order
from app.rankings import POOL, first, pool_of
from app.recommend import Profile, segment_reasons
from app.schemas.layout import LayoutRow
from app.selection import EVERYTHING, Selection
from app.shelf import Placed, Row
from index.snapshot import Snapshot


def page(
    snapshot: Snapshot,
    profile: Profile,
    size: Size,
    selection: Selection = EVERYTHING,
    ordering: Ordering = PLAIN,
    layout: Sequence[LayoutRow] = (),
    in_time: Callable[[], bool] = lambda: True,
) -> list[Row]:
    """At most `n_rows` rows of `min_fill` to `row_size` items, top first; inside a row in the order of its ranking.

    All rows obey the selection. A known user sees top picks, because-rows and segments; what their taste does not fill,
    segments of the crowd and what everybody likes do, which is all that anybody else sees. Rows of the layout are on
    the page whatever they gain, as long as there is an item for them.

    With an ordering the rows are those of the page without it, and each is made of what earlier rows left of its
    ranking, of the best `POOL`: caps count within a row, so that a page may have a row of one author.

    Once `in_time` is false the page is what it is by then, one row at least.
    """
    size = size._replace(reach=max(cells(size, layout), 0 if ordering is PLAIN else POOL))
    place = Place(snapshot, profile, size, selection, NO_HITS)
    placed: list[Placed] = []
    if profile.personal:
        pool = pool_of(snapshot, profile, size.depth, selection)
        place = place._replace(ranking=first(pool.hits, size.depth))
        placed = _assembled(candidates.personal(place, layout, pool, in_time), size, ordering)
        layout = ()
    if len(placed) < size.n_rows and (in_time() or not placed):
        placed = _assembled(candidates.crowd(place, layout, placed, in_time), size, ordering, placed)
    return list(_explained(snapshot, profile, [row for _, row in placed]))


def _assembled(found: Candidates, size: Size, ordering: Ordering, above: Sequence[Placed] = ()) -> list[Placed]:
    """The page that candidates make, beside the rows that there are, as the ordering would have it."""
    placed = found.page()
    if ordering is PLAIN:
        return placed
    known = {row.row_id for _, row in above}
    new = found.whole([one for one in placed if one.row.row_id not in known])
    return in_order(found.snapshot, new, size, ordering, found.laid, above)


def _explained(snapshot: Snapshot, profile: Profile, rows: list[Row]) -> Iterator[Row]:
    """The rows, each with its reason."""
    numbers = [row.segment for row in rows if row.segment is not None]
    told = iter(segment_reasons(snapshot, profile, numbers))
    return (row if row.segment is None else row._replace(reason=next(told)) for row in rows)
