"""Titles for segments, from the properties of their items: no network, no language model.

What a segment says more than the catalogue: a term with part p of the segment's weight and part q of all items has lift
p / q and is worth p log(p / q), its share of the Kullback-Leibler divergence between the two. Of such terms titles are
made (`training.forms`), and of every title it is known or guessed which items it fits: an author fits the items that
name it, a word those whose texts say it or are like the texts that do (`training.themes`). A title is taken only where
it fits at least 6 of the 8 strongest items and two fifths of the strongest 24, and few of the strongest of the nearest
segments; of several the one that tells most. Where none does, examples are named ("More like Dune and Foundation").
Titles are unique; where two segments want one title, the surer one has it.
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from index.segments import FoundSegment
from index.types import Float32, Int32
from training import forms, language, terms
from training.forms import MAX_TITLE, TOP, TYPICAL, Asked, Said, Title
from training.terms import Properties, Terms
from training.themes import Themes
from training.words import LEAST_NOUN, MIN_ITEMS, Term

__all__ = ["MAX_TITLE", "Label", "Reading", "are_kinds", "read", "titles"]

MAX_TERMS = 8
READ_MEMBERS = 200  # of a segment, the strongest
STRONG = 0.6  # part of the strength of the strongest member: weaker ones a title need not fit
READ_CATALOGUE = 20_000  # items, evenly spaced, that the segments are compared with
LEAST_LIFT = 3.0  # a term that is less distinctive says nothing
LEAST_INSIDE = 0.05  # nor does one of so few members
CONSIDERED = 100  # terms of a segment
ENTITY_BONUS = 1.6  # before the words that it is made of
PAIR_BONUS = 1.4
MAX_SPREAD = 0.04  # part of all segments that a word may be distinctive for, to say something of any
FEW_SEGMENTS = 3  # so many always may
RIVALS = 3  # nearest segments, from which it must tell its own
HALF = 0.5
FOLDED_PRAISE = frozenset(map(language.fold, language.PRAISE))
MOST_ACTS = 0.3  # of its uses are of a verb
LEAST_FOCUSED = 0.4  # a word whose items lie so much in segments of which it is distinctive names a kind of thing


@dataclass(frozen=True)
class Label:
    """What a segment is called."""

    title: str
    """At most 40 characters, unique among the labels made together."""
    terms: tuple[str, ...]
    """The most distinctive terms, best first, at most 8."""


@dataclass(frozen=True)
class _Told:
    """A term that distinguishes a segment."""

    number: int
    """Among the counted terms."""
    term: Term
    """What it is."""
    worth: float
    """Part of the segment, by weight, that has it, times the logarithm of its lift."""


@dataclass(frozen=True)
class _Question:
    """The items on which titles of a segment are tried."""

    items: Int32
    """Its own strongest ones, then those of its rivals."""
    asked: Asked
    """Which of them are whose."""


@dataclass(frozen=True)
class Reading:
    """What the properties of the items say that titles are made from."""

    rows: Int32
    """The items that are read, ascending: the strongest members of all segments, and others to compare them with."""
    properties: Sequence[Properties]
    """Theirs."""
    counted: Terms
    """What these say."""
    popularity: Float32
    """Theirs."""

    def members(self, found: FoundSegment) -> Int32:
        """Places in `rows` of a segment's strongest members, strongest first."""
        return np.searchsorted(self.rows, found.items[:READ_MEMBERS]).astype(np.int32)


def read(found: Sequence[FoundSegment], properties: Sequence[Properties], popularity: Float32) -> Reading:
    """Read what the items of segments are titled by; properties and popularity are row-aligned, (n_items,)."""
    rows = _rows_to_read(found, len(properties))
    own = [properties[row] for row in rows]
    return Reading(rows, own, terms.read(own), popularity[rows])


def titles(
    found: Sequence[FoundSegment], reading: Reading, kinds: Sequence[tuple[str, float] | None] | None = None
) -> list[Label]:
    """One label a segment; the strongest members of each are among what is read.

    kinds: what each is known to be, and how surely, which then is its title.
    """
    counted = reading.counted
    members = [reading.members(each) for each in found]
    told = [_distinctive(counted, m, s.strengths[:READ_MEMBERS]) for m, s in zip(members, found, strict=True)]
    questions = _questions(found, members)
    themes = Themes(counted)
    said = _said(themes, told, questions, _focus(counted, [items[:TYPICAL] for items in members]))
    names = _names(themes, members, reading.properties, reading.popularity)
    wanted = [
        [*forms.of_kind(kind, examples), *forms.titles(about, question.asked, examples), *forms.examples(examples)]
        for kind, about, question, examples in zip(kinds or [None] * len(found), said, questions, names, strict=True)
    ]
    return [
        Label(title, tuple(each.term.text for each in _distinct(about)[:MAX_TERMS]))
        for title, about in zip(_assign(wanted), _particular(told), strict=True)
    ]


def _rows_to_read(found: Sequence[FoundSegment], n_items: int) -> Int32:
    """The strongest members of all segments, and enough of the catalogue to compare them with."""
    spread = np.arange(0, n_items, max(n_items // READ_CATALOGUE, 1))
    return np.unique(np.concatenate([spread, *(each.items[:READ_MEMBERS] for each in found)])).astype(np.int32)


def _distinctive(counted: Terms, items: Int32, strengths: Float32) -> list[_Told]:
    """What holds for a segment and seldom elsewhere, worthiest first."""
    weights = strengths**2
    inside = counted.shares_in(items, weights)
    lift = inside / np.maximum(counted.share, 1e-9)
    n_items = inside * float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12))
    sure = np.flatnonzero((n_items >= MIN_ITEMS) & (lift >= LEAST_LIFT) & (inside >= LEAST_INSIDE))
    worth = inside[sure] * np.log(lift[sure])
    best = np.argsort(-worth, kind="stable")[:CONSIDERED]
    told = [_Told(int(sure[i]), counted.terms[sure[i]], float(worth[i])) for i in best]
    return sorted(told, key=lambda each: (-each.worth * _bonus(each.term), each.term.text))


def _particular(told: Sequence[Sequence[_Told]]) -> list[list[_Told]]:
    """Leave out words that are distinctive for many segments ("heartwarming"): they tell none from another."""
    spread = Counter(each.number for about in told for each in about if each.term.kind == "word")
    most = max(FEW_SEGMENTS, MAX_SPREAD * len(told))
    return [[each for each in about if spread[each.number] <= most] for about in told]


def _bonus(term: Term) -> float:
    """Entities and pairs of words go before the words that they are made of."""
    if term.kind == "word":
        return PAIR_BONUS if " " in term.text else 1.0
    return ENTITY_BONUS


def _distinct(told: Sequence[_Told]) -> list[_Told]:
    """No two that share a word."""
    kept: list[_Told] = []
    used: set[str] = set()
    for each in told:
        words = {language.fold(word) for word in language.WORD.findall(each.term.text)}
        if not words & used:
            kept.append(each)
            used |= words
    return kept


def _questions(found: Sequence[FoundSegment], members: Sequence[Int32]) -> list[_Question]:
    """A segment's strongest items, and those of the segments whose centroids are nearest."""
    centroids = np.array([each.centroid for each in found])
    questions = []
    for number, items in enumerate(members):
        order = [int(other) for other in np.argsort(-(centroids @ centroids[number]), kind="stable") if other != number]
        parts = [items[: _n_typical(found[number])], *(members[other][:TOP] for other in order[:RIVALS])]
        asked = Asked(len(parts[0]), tuple(len(part) for part in parts[1:]))
        questions.append(_Question(np.concatenate(parts).astype(np.int32), asked))
    return questions


def _n_typical(segment: FoundSegment) -> int:
    """How many of the strongest members a title must mostly fit."""
    strong = int((segment.strengths >= STRONG * segment.strengths[0]).sum())
    return min(max(strong, TOP), forms.TYPICAL)


def _focus(counted: Terms, members: Sequence[Int32]) -> Float32:
    """Of each term, the part of the segments' items with it that lie where it is distinctive, (n_terms,)."""
    everywhere = np.zeros(len(counted.terms), dtype=np.float32)
    focused = np.zeros(len(counted.terms), dtype=np.float32)
    for items in members:
        n_items = counted.shares_in(items, np.ones(len(items), np.float32)) * len(items)
        everywhere += n_items
        sure = (n_items >= MIN_ITEMS - HALF) & (n_items >= LEAST_LIFT * counted.share * len(items))
        focused += np.where(sure, n_items, 0)
    return (focused / np.maximum(everywhere, 1)).astype(np.float32)


def _said(
    themes: Themes, told: Sequence[Sequence[_Told]], questions: Sequence[_Question], focus: Float32
) -> list[list[Said]]:
    """What titles are made of, and which of the items that are asked about it fits."""
    wanted: defaultdict[int, list[int]] = defaultdict(list)
    for segment, about in enumerate(told):
        for each in about:
            if not _is_word(each.term) or (_is_theme(each.term) and focus[each.number] >= LEAST_FOCUSED):
                wanted[each.number].append(segment)
    fits: dict[tuple[int, int], Float32] = {}
    for number, askers in wanted.items():
        items = np.concatenate([questions[segment].items for segment in askers])
        found = themes.fits(number, items) if _is_word(themes.counted.terms[number]) else themes.says(number, items)
        parts = np.split(found, np.cumsum([len(questions[segment].items) for segment in askers])[:-1])
        fits.update({(segment, number): part for segment, part in zip(askers, parts, strict=True)})
    return [
        [
            _as_said(each.term, fits[segment, each.number], float(focus[each.number]))
            for each in about
            if (segment, each.number) in fits
        ]
        for segment, about in enumerate(told)
    ]


def are_kinds(found: Sequence[FoundSegment], reading: Reading) -> NDArray[np.bool_]:
    """Which of the counted terms name a kind of item ("thriller") that some of the segments are of, (n_terms,)."""
    focus = _focus(reading.counted, [reading.members(each)[:TYPICAL] for each in found])
    name = [_is_word(term) and term.kinds > 0 and _is_theme(term) for term in reading.counted.terms]
    return np.array(name, dtype=np.bool_) & (focus >= LEAST_FOCUSED)


def _as_said(term: Term, fits: Float32, focus: float) -> Said:
    is_kind = _is_word(term) and term.kinds > 0
    return Said(term.text, term.kind, fits, focus, is_kind)


def _is_word(term: Term) -> bool:
    """Not a name, such as "Stephanie Plum"."""
    return term.kind == "word" and not forms.is_name(term.text)


def _is_theme(term: Term) -> bool:
    """A noun in lower case that does not praise."""
    words = [language.fold(word) for word in language.WORD.findall(term.text)]
    praises = words[0] in FOLDED_PRAISE or (words[-1] in FOLDED_PRAISE and not term.kinds)
    return not praises and term.stands >= LEAST_NOUN and term.acts < MOST_ACTS and not term.text[:1].isupper()


def _names(
    themes: Themes, members: Sequence[Int32], properties: Sequence[Properties], popularity: Float32
) -> list[list[str]]:
    """Of each segment the names of examples, best first."""
    key = terms.name_key(properties)
    chosen = []
    for items in members:
        names = [forms.shortened(terms.name_of(properties[row], key)) for row in _exemplary(themes, items, popularity)]
        short = list(dict.fromkeys(name for name in names if name and not name.endswith(forms.CUT)))
        chosen.append(short or list(dict.fromkeys(filter(None, names))))
    return chosen


def _exemplary(themes: Themes, items: Int32, popularity: Float32) -> list[int]:
    """The strongest items, best example first: its makers made most of those whose makers no example before names.

    Then those whose texts are like the segment's, then the best known.
    """
    rows = items[: forms.EXAMPLES]
    typical = themes.typicality(rows, items[:TYPICAL])
    usual = dict(zip(rows.tolist(), (typical >= np.median(typical)).tolist(), strict=True))
    makers = {row: themes.counted.entities_of(row) for row in usual}
    left, told, ordered = list(usual), set[int](), list[int]()
    while left:
        open_ = [makers[row] for row in usual if not makers[row] & told]
        new = {row: sum(bool(each & makers[row]) for each in open_) for row in left}
        best = max(left, key=lambda row: (new[row], usual[row], float(popularity[row]), -row))
        ordered.append(best)
        left.remove(best)
        told |= makers[best]
    return ordered


def _assign(wanted: Sequence[Sequence[Title]]) -> list[str]:
    """Give every segment its best title that no surer one has taken."""
    queue = [(-each[0].sureness if each else 1.0, number, 0) for number, each in enumerate(wanted)]
    heapq.heapify(queue)
    taken: set[str | frozenset[str]] = set()
    chosen = [""] * len(wanted)
    while queue:
        _, number, place = heapq.heappop(queue)
        left = wanted[number][place:]
        if not left:
            chosen[number] = next(
                name for name in map("Collection {}".format, count(number + 1)) if name.casefold() not in taken
            )
        elif left[0].meaning in taken or left[0].text.casefold() in taken:
            heapq.heappush(queue, (-left[1].sureness if len(left) > 1 else 1.0, number, place + 1))
            continue
        else:
            chosen[number] = left[0].text
            taken.add(left[0].meaning)
        taken.add(chosen[number].casefold())
    return chosen
