"""The page: titled rows of items for one user, most relevant first, no item twice.

Stage-wise page construction: candidate rows are made independently (`app.candidates`), then placed from the top, each
seeing what earlier rows took (`app.placing`). Rows that are used get their reasons last, all at once.
"""

from collections.abc import Callable, Iterator
from itertools import chain, islice

from app.candidates import crowd_rows, everybody, personal_rows
from app.ordering import PLAIN, Ordering
from app.placing import Placing, Size
from app.rankings import POOL
from app.recommend import Profile, segment_reasons
from app.selection import EVERYTHING, Selection
from app.shelf import Row
from index.snapshot import Snapshot
from index.taken import Taken


def page(
    snapshot: Snapshot,
    profile: Profile,
    size: Size,
    selection: Selection = EVERYTHING,
    ordering: Ordering = PLAIN,
    in_time: Callable[[], bool] = lambda: True,
) -> list[Row]:
    """At most `n_rows` rows of `min_fill` to `row_size` items, top first; inside a row by descending score.

    All rows obey the selection. The ordering makes each row of its ranking, of what earlier rows left of the best
    `POOL`: caps count within a row, so that a page may have a row of one author.

    A known user sees top picks, then because-rows and segments, and last what everybody likes; anybody else what
    everybody likes, then the segments of the crowd. What the user's taste does not fill, segments of the crowd do.

    Once `in_time` is false the page is what it is by then, one row at least, and what everybody likes.
    """
    if ordering is not PLAIN:
        size = size._replace(reach=POOL)
    placing = Placing(snapshot, size, ordering, Taken(), in_time)
    liked = everybody(snapshot, profile, size, selection)
    if not profile.personal:
        others = placing.timely(crowd_rows(snapshot, profile, size, selection))
        return list(islice(placing.place(chain(liked, others)), size.n_rows))
    # The last of three or more rows is kept for what everybody likes, unless that is not usable.
    body = placing.place(placing.timely(personal_rows(snapshot, profile, size, selection)))
    rows_above = list(islice(body, size.n_rows - 1 if size.n_rows >= 3 else size.n_rows))
    last = list(placing.place(liked)) if len(rows_above) < size.n_rows else []
    rows = [*rows_above, *islice(body, size.n_rows - len(rows_above) - len(last)), *last]
    return list(_explained(snapshot, profile, rows))


def _explained(snapshot: Snapshot, profile: Profile, rows: list[Row]) -> Iterator[Row]:
    """The rows, each with its reason."""
    numbers = [row.segment for row in rows if row.segment is not None]
    told = iter(segment_reasons(snapshot, profile, numbers))
    return (row if row.segment is None else row._replace(reason=next(told)) for row in rows)
