"""Forms of titles: what can be made of the terms of a segment, which items each title fits, and which one tells most.

A title fits an item with a probability: two parts that both have to hold multiply ("Terry Pratchett: Discworld",
"Thrillers, 2010s"), of those that stand side by side one is enough ("J.K. Rowling, Rick Riordan"), and two themes count
half each ("Vampires & magic").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from index.types import Float32
from training.language import STOP_WORDS, WORD, fold
from training.themes import SAID
from training.words import Kind

MAX_TITLE = 40
TOP = 8  # strongest items, which a title must fit
TYPICAL = 24  # strongest items, which it must fit for the most part
LEAST_TOP = 0.74  # 6 of 8
LEAST_KIND = 0.69  # of a kind of item, of which texts say too little rather than too much
LEAST_ABOUT = 0.8  # of what items are about, which may be said by the way
LEAST_YEARS = 0.85  # of years, which say little
LEAST_TYPICAL = 0.4
MOST_RIVAL = 0.5  # part of the strongest items of a near segment that it may fit
LEAST_APART = 0.3  # and so much more of its own
WORTH_TYPICAL = 0.5  # beside the top items
COST_RIVAL = 0.7
ENTITIES = 6  # of a segment, from which titles are made
WORDS = 14
LEAST_SAID = 3  # of the top items must say a word
LONGEST_NAME = 28  # of an example
CUT = "\u2026"
EXAMPLES = 8  # the strongest members, of which the best known are named
LONELY = 5  # the best example alone is worth as much as with one that is so many places later
HALF = 0.5


@dataclass(frozen=True)
class Asked:
    """The items of which it is asked whether a title fits them."""

    own: int
    """So many first ones are the segment's strongest."""
    rivals: tuple[int, ...]
    """Then come so many of each near segment."""


@dataclass(frozen=True)
class Said:
    """A term that distinguishes a segment."""

    text: str
    """As it is shown."""
    kind: Kind
    """What it is."""
    fits: Float32
    """How probably it fits each of the items that are asked about."""
    focus: float = 0.0
    """Of a word: which part of the items that say it lie in segments of which it is distinctive."""
    is_kind: bool = False
    """Of a word: whether it names a kind of item, such as "thriller", and not only what items are about."""


@dataclass(frozen=True)
class Title:
    """A title that a segment could have."""

    text: str
    """At most 40 characters."""
    meaning: frozenset[str]
    """What it names, in lower case: two titles of one meaning are the same title."""
    sureness: float
    """Of two segments that want a title, the one with more gets it."""


@dataclass(frozen=True)
class _Draft:
    text: str
    parts: tuple[str, ...]
    fits: Float32
    bonus: float
    least: float = LEAST_TOP
    instead: str | None = None
    """A title that goes before this one wherever it is taken."""


def titles(said: Sequence[Said], asked: Asked, names: Sequence[str]) -> list[Title]:
    """Titles that fit a segment and not its rivals, the most telling first.

    said: most distinctive first; names: examples, best first.
    """
    scored = [
        (sureness, draft)
        for draft in _drafts(said, names, asked.own)
        if (sureness := _sureness(draft, asked)) is not None and 0 < len(draft.text) <= MAX_TITLE
    ]
    plain = {draft.text for _, draft in scored}
    scored = [(sureness, draft) for sureness, draft in scored if draft.instead not in plain]
    scored.sort(key=lambda each: (-each[0], each[1].text))
    return [_title(draft, sureness) for sureness, draft in scored]


def of_kind(kind: tuple[str, float] | None, names: Sequence[str]) -> Iterator[Title]:
    """Titles for what is known to be of a kind, and how surely, alone and with an example; names: best first."""
    if kind is not None:
        text, sureness = _shown(kind[0]), kind[1]
        for title in (text, *(f"{text} like {name}" for name in names)):
            if len(title) <= MAX_TITLE:
                yield Title(title, frozenset({title.casefold()}), sureness)


def _title(draft: _Draft, sureness: float) -> Title:
    return Title(draft.text, frozenset(part.casefold() for part in draft.parts), sureness)


def _sureness(draft: _Draft, asked: Asked) -> float | None:
    """How much a title tells; None if it is wrong of too many items, or right of a rival's."""
    own = draft.fits[: asked.own]
    top, typical = float(own[:TOP].mean()), float(own.mean())
    rival = max((float(part.mean()) for part in _parts(draft.fits, asked)), default=0.0)
    if top < draft.least or typical < LEAST_TYPICAL or rival > min(MOST_RIVAL, top - LEAST_APART):
        return None
    return top + WORTH_TYPICAL * typical - COST_RIVAL * rival + draft.bonus


def _parts(fits: Float32, asked: Asked) -> list[Float32]:
    ends = np.cumsum([asked.own, *asked.rivals])
    return [part for part in np.split(fits, ends)[1:-1] if len(part)]


def _drafts(said: Sequence[Said], names: Sequence[str], own: int) -> Iterator[_Draft]:
    entities = [term for term in said if term.kind in ("entity", "series")][:ENTITIES]
    known = {word for term in entities for word in _folded(term)}
    entities += [term for term in said if _is_name(term) and not _folded(term) & known][:1]
    words = [term for term in said if term.kind == "word" and not _is_name(term) and _is_said(term)][:WORDS]
    languages = [term for term in said if term.kind == "language"]
    years = [term for term in said if term.kind == "years"]
    for language in languages:
        yield _draft(f"In {language.text}", [language], language.fits, 0.2)
    yield from _of_entities(entities, own)
    yield from _of_words(words)
    for term, bonus in [*((term, 0.0) for term in entities), *((term, _worth(term)) for term in words)]:
        for when in years:
            yield _draft(f"{term.text}, {when.text}", [term, when], term.fits * when.fits, bonus)
    for term in [*languages, *entities, *(term for term in words if term.is_kind)]:
        for name in names[:3]:
            yield _with_example(term, name, own)
    for when in years:
        text = f"From the {when.text}" if when.text[0].isdigit() else when.text
        yield _Draft(text, (when.text,), when.fits, -0.3, LEAST_YEARS)


def _folded(term: Said) -> set[str]:
    return {fold(word) for word in WORD.findall(term.text)}


def _worth(word: Said) -> float:
    return 0.2 * word.focus + (0.15 if word.is_kind else 0.0)


def _is_said(word: Said) -> bool:
    """Whether enough of the top items say it."""
    top = word.fits[:TOP]
    return int((top >= SAID).sum()) >= min(LEAST_SAID, len(top))


def _with_example(term: Said, name: str, own: int) -> _Draft:
    """An example tells a segment from its rivals, but not surely."""
    fits = term.fits.copy()
    fits[own:] *= HALF
    is_word, text = term.kind == "word" and not _is_name(term), term.text
    text = f"In {text}" if term.kind == "language" else text
    bonus = _worth(term) - 0.2 if is_word else 0.1
    title = _shown(f"{text}{' like ' if is_word else ': '}{name}")
    return _Draft(title, (term.text, name), fits, bonus, _least(term), _shown(text))


def _of_entities(entities: Sequence[Said], own: int) -> Iterator[_Draft]:
    for one in entities:
        yield _draft(one.text, [one], one.fits, 0.2)
    for maker, series in permutations(entities, 2):
        if maker.kind == "entity" and series.kind == "series":
            yield _draft(f"{maker.text}: {series.text}", [maker, series], maker.fits * series.fits, 0.3)
    for size, bonus in ((2, 0.05), (3, -0.1)):
        for some in combinations(entities, size):
            if (
                len({term.kind for term in some} - {"word"}) == 1
                and all(t.kind != "word" for t in some)
                and _are_apart(some, own)
            ):
                fits: Float32 = np.max([term.fits for term in some], axis=0)
                are_makers = some[0].kind == "entity"
                yield _draft(", ".join(term.text for term in some), some, fits, bonus if are_makers else bonus - 0.2)


def _are_apart(entities: Sequence[Said], n_own: int) -> bool:
    """Each fits two of the typical items that none of the others does."""
    own = np.array([term.fits[:n_own] > HALF for term in entities])
    alone = own & (own.sum(axis=0) == 1)
    return bool((alone.sum(axis=1) >= min(2, own.shape[1])).all())


def _of_words(words: Sequence[Said]) -> Iterator[_Draft]:
    for one in words:
        yield _draft(one.text, [one], one.fits, _worth(one))
    for one, other in combinations(words, 2):
        if _folded(one) & _folded(other):
            continue
        fits = ((one.fits + other.fits) / 2).astype(np.float32)
        yield _draft(f"{one.text} & {other.text}", [one, other], fits, (_worth(one) + _worth(other)) / 2 + 0.05)


def _draft(text: str, parts: Sequence[Said], fits: Float32, bonus: float) -> _Draft:
    return _Draft(_shown(text), tuple(part.text for part in parts), fits, bonus, max(map(_least, parts)))


def _least(part: Said) -> float:
    if part.kind != "word" or _is_name(part):
        return LEAST_TOP
    return LEAST_KIND if part.is_kind else LEAST_ABOUT


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text[:1].upper() + text[1:]


def is_name(text: str) -> bool:
    """Words that are all written with a capital, as "Stephanie Plum"."""
    words = text.split()
    return len(words) > 1 and all(word[:1].isupper() for word in words)


def _is_name(term: Said) -> bool:
    return term.kind == "word" and is_name(term.text)


def examples(names: Sequence[str]) -> Iterator[Title]:
    """Titles that name examples, best first; names: best first."""
    ranked = list(enumerate(names))
    pairs = [((i, j), (one, other)) for (i, one), (j, other) in combinations(ranked, 2)]
    for _, some in sorted([*pairs, *(((i, i + LONELY), (one,)) for i, one in ranked)]):
        yield from _named(f"More like {' and '.join(some)}", *some)


def _named(text: str, *parts: str) -> Iterator[Title]:
    if 0 < len(shown := _shown(text)) <= MAX_TITLE:
        yield Title(shown, frozenset(map(str.casefold, parts)), 0.0)


def shortened(name: str) -> str:
    """A name without its subtitle; cut at a word, and marked so, where it would fill the title."""
    bare = re.split(r"[:;(\[]|\s[-\u2013\u2014]\s", name)[0].strip(" ,.")
    if len(bare) <= LONGEST_NAME:
        return bare
    words = bare[:LONGEST_NAME].split(" ")[:-1]
    while words and words[-1].casefold() in STOP_WORDS:
        words.pop()
    return " ".join(words) + CUT if words else ""
