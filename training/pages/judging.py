"""What the pages of one server are worth to some readers, by every way of making them.

A reader's figure is the mean over the reader's questions (`training.figures`); `stability` is of the first question.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from index.types import Int32
from training import figures
from training.figures import PerUser
from training.pages import likeness
from training.pages.attention import ndcg
from training.pages.events import Events, kept, shown_on
from training.pages.likeness import Likeness
from training.pages.readers import Reader
from training.pages.ways import Asking, Page, Way

MAIN = "ndcg_2d"
STABILITY = "stability"
METRICS = (MAIN, "distinct", "duplicates", "row_diversity", "coherence_read", "coherence_text", STABILITY)
COVERAGE = "coverage"
OWN = "page"
"""The way that is judged; events are unrelated to what it shows."""
_CHUNK = 20  # readers at a time: as many as a batch takes of the ways that ask once


@dataclass(frozen=True)
class Judgement:
    """One way of making pages, judged by some readers."""

    per_user: Mapping[str, PerUser]
    """Each of METRICS."""
    coverage: float
    """Share of the catalogue on all pages together."""


def judge(
    asking: Asking,
    readers: Sequence[Reader],
    ways: Mapping[str, Way],
    alike: Likeness,
    events: Events,
    done: Callable[[int], None],
) -> dict[str, Judgement]:
    """Ask for the pages of all readers by every way, OWN among them; `done` is told how many questions are judged."""
    users = np.array([each.question.user for each in readers], np.int32)
    again = np.zeros(len(readers), bool)
    again[np.unique(users, return_index=True)[1]] = True
    values: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    steady: dict[str, list[float]] = {name: [] for name in ways}
    shown = {name: np.zeros(len(asking.items), bool) for name in ways}
    for start in range(0, len(readers), _CHUNK):
        chunk, places = readers[start : start + _CHUNK], np.flatnonzero(again[start : start + _CHUNK]).tolist()
        made = {name: way(asking, chunk) for name, way in ways.items()}
        for name, pages in made.items():
            values[name] += map(partial(_worth, alike), chunk, pages)
            for each in pages:
                shown[name][shown_on(each)] = True
        after = events.after(asking, [chunk[place] for place in places], [made[OWN][place] for place in places])
        for name, way in ways.items():
            before = (made[name][place] for place in places)
            steady[name] += map(kept, before, way(asking, after))
        done(len(chunk))
    return {
        name: Judgement(
            {**_by_user(users, values[name]), STABILITY: figures.of_questions(users[again], np.array(steady[name]))},
            float(shown[name].mean()),
        )
        for name in ways
    }


def _worth(alike: Likeness, reader: Reader, page: Page) -> dict[str, float]:
    """Every metric of one page but the stability."""
    rows, _ = np.nonzero(page.cells >= 0)
    items, owners = page.cells[page.cells >= 0], rows.astype(np.int32)
    read, text = alike.by_reading(items, reader.question.user), alike.by_text(items)
    n_distinct = len(np.unique(items))
    return {
        MAIN: ndcg(page.cells, reader.question.targets),
        "distinct": n_distinct,
        "duplicates": len(items) - n_distinct,
        "row_diversity": likeness.diversity(read, owners),
        "coherence_read": likeness.coherence(read, owners),
        "coherence_text": likeness.coherence(text, owners),
    }


def _by_user(users: Int32, values: Sequence[Mapping[str, float]]) -> dict[str, PerUser]:
    names = [name for name in METRICS if name != STABILITY]
    return {name: figures.of_questions(users, np.array([each[name] for each in values])) for name in names}
