"""Titles for segments, from the properties of their items: no network, no language model.

What a segment says more than the catalogue: a term with part p of the segment's weight and part q of all items has lift
p / q and is worth p log(p / q), its share of the Kullback-Leibler divergence between the two. A title takes the first
form that is sure enough: one entity ("Discworld"), two ("J.K. Rowling, Rick Riordan"), words ("Vampires & magic"), else
examples ("More like Dune and Foundation"). Titles are unique; where two segments want one title, the surer one has it.
"""

import heapq
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, count

import numpy as np

from index.segments import FoundSegment
from index.types import Float32, Int32
from training import terms
from training.terms import Kind, Properties, Terms

MAX_TITLE = 40
MAX_TERMS = 8
READ_MEMBERS = 200  # of a segment, the strongest
READ_CATALOGUE = 20_000  # items, evenly spaced, that the segments are compared with
LEAST_LIFT = 3.0  # a term that is less distinctive says nothing
LEAST_INSIDE = 0.05  # nor does one of so few members
CONSIDERED = 100  # terms of a segment
ENTITY_BONUS = 1.6  # before the words that it is made of
PAIR_BONUS = 1.4
DOMINANT = 0.4  # an entity of so much of a segment is its title
PROMINENT = 0.2  # "... & more"
MINOR = 0.1  # the second of two entities
TOGETHER = 0.27  # both of them
EQUAL = 0.7  # the second is as important as the first
SAME_ITEMS = 0.7  # of two entities with so similar parts, one is the maker of the other
MAX_SPREAD = 0.04  # part of all segments that a word may be distinctive for, to say something of any
FEW_SEGMENTS = 3  # so many always may
SECOND = 0.6  # the second word of a title is worth at least this part of the first
MODIFIER = 0.4  # a word that leads on to another one more often is an adjective
THEME_INSIDE = 0.25  # a word of a title holds for this part of the members,
THEME_WORTH = 0.9  # and is worth this much: 0.3 of the members at a lift of 20, all of them at 2.5
LONGEST_NAME = 28  # of an example
CUT = "\u2026"
EXAMPLES = 12  # the strongest members, of which the best known are named


@dataclass(frozen=True)
class Label:
    """What a segment is called."""

    title: str
    """At most 40 characters, unique among the labels made together."""
    terms: tuple[str, ...]
    """The most distinctive terms, best first, at most 8."""


@dataclass(frozen=True)
class _Said:
    """A term that distinguishes a segment."""

    text: str
    kind: Kind
    inside: float
    """Part of the segment, by weight, that has the term."""
    worth: float
    """inside * log(lift)"""
    leads: float
    """As of `terms.Term`."""
    who: frozenset[int]
    """Which of the strongest members have it."""

    def shared(self, other: "_Said") -> float:
        """Part of the members that have the rarer of two terms and have both."""
        return len(self.who & other.who) / max(min(len(self.who), len(other.who)), 1)


@dataclass(frozen=True)
class _Candidate:
    """A title that a segment could have."""

    title: str
    meaning: frozenset[str]
    """What it names, in lower case: two titles of one meaning are the same title."""
    sureness: float
    """Who wants a title more gets it."""


def titles(found: Sequence[FoundSegment], properties: Sequence[Properties], popularity: Float32) -> list[Label]:
    """One label a segment; properties and popularity are row-aligned, (n_items,)."""
    rows = _rows_to_read(found, len(properties))
    counted = terms.read([properties[row] for row in rows])
    members = [np.searchsorted(rows, each.items[:READ_MEMBERS]).astype(np.int32) for each in found]
    said = _particular(
        [_distinctive(counted, m, s.strengths[:READ_MEMBERS]) for m, s in zip(members, found, strict=True)]
    )
    key = terms.name_key([properties[row] for row in rows])
    wanted = [
        [
            *_candidates(about),
            *_examples([(terms.name_of(properties[i], key), popularity[i]) for i in each.items[:EXAMPLES]]),
        ]
        for about, each in zip(said, found, strict=True)
    ]
    return [
        Label(title, tuple(term.text for term in about[:MAX_TERMS]))
        for title, about in zip(_assign(wanted), said, strict=True)
    ]


def _rows_to_read(found: Sequence[FoundSegment], n_items: int) -> Int32:
    """The strongest members of all segments, and enough of the catalogue to compare them with."""
    spread = np.arange(0, n_items, max(n_items // READ_CATALOGUE, 1))
    return np.unique(np.concatenate([spread, *(each.items[:READ_MEMBERS] for each in found)])).astype(np.int32)


def _distinctive(counted: Terms, items: Int32, strengths: Float32) -> list[_Said]:
    """What holds for a segment and seldom elsewhere, worthiest first, no two that share a word."""
    weights = strengths**2
    inside = counted.shares_in(items, weights)
    lift = inside / np.maximum(counted.share, 1e-9)
    n_items = inside * float(weights.sum() ** 2 / max(float((weights**2).sum()), 1e-12))
    sure = np.flatnonzero((n_items >= terms.MIN_ITEMS) & (lift >= LEAST_LIFT) & (inside >= LEAST_INSIDE))
    worth = inside[sure] * np.log(lift[sure])
    best = np.argsort(-worth, kind="stable")[:CONSIDERED]
    having = counted.having(items, sure[best])
    said = [
        _Said(term.text, term.kind, float(inside[i]), float(value), term.leads, who)
        for i, value, who in zip(sure[best], worth[best], having, strict=True)
        for term in (counted.terms[i],)
    ]
    return _distinct(sorted(said, key=lambda term: (-term.worth * _bonus(term), term.text)))


def _particular(said: Sequence[Sequence[_Said]]) -> list[list[_Said]]:
    """Leave out words that are distinctive for many segments ("heartwarming"): they tell none from another."""
    spread = Counter(term.text for about in said for term in about if term.kind == "word")
    most = max(FEW_SEGMENTS, MAX_SPREAD * len(said))
    return [[term for term in about if spread[term.text] <= most] for about in said]


def _bonus(term: _Said) -> float:
    """Entities and pairs of words go before the words that they are made of."""
    if term.kind == "word":
        return PAIR_BONUS if " " in term.text else 1.0
    return ENTITY_BONUS


def _distinct(said: Sequence[_Said]) -> list[_Said]:
    kept: list[_Said] = []
    used: set[str] = set()
    for term in said:
        words = {terms.fold(word) for word in terms.WORD.findall(term.text)}
        if not words & used:
            kept.append(term)
            used |= words
    return kept


def _candidates(said: Sequence[_Said]) -> Iterator[_Candidate]:
    """Titles from terms, best first."""
    names = [term for term in said if term.kind in ("entity", "series") or _is_name(term)]
    words = [term for term in said if term.kind == "word" and not term.text[:1].isupper() and term.leads <= MODIFIER]
    words = [term for term in words if term.inside >= THEME_INSIDE]
    others = [other for other in names[1:] if other.kind == names[0].kind and other.inside >= MINOR]
    apart = [other for other in others if other.shared(names[0]) <= 0.5]
    pairs = [[names[0], other] for other in apart if names[0].inside + other.inside >= TOGETHER][:3]
    if names and names[0].inside >= DOMINANT:
        if pairs and pairs[0][1].inside >= EQUAL * names[0].inside:
            yield from _named(pairs[0], ", ", names[0].inside)
        yield from _dominant(names[0], names[1:])
    if words and words[0].worth >= THEME_WORTH:
        yield from _theme(words)
    for pair in pairs:
        yield from _named(pair, ", ", pair[0].inside)
    if names and names[0].inside >= PROMINENT:
        yield from _titled(f"{names[0].text} & more", [names[0].text, "more"], names[0].inside)


def _dominant(first: _Said, others: Sequence[_Said]) -> Iterator[_Candidate]:
    """A series and who made it are told together where both hold for nearly the same part of the segment."""
    for other in others[:2]:
        same = other.shared(first) >= SAME_ITEMS and other.inside >= SAME_ITEMS * first.inside
        if other.kind != first.kind and same:
            maker, series = (first, other) if first.kind == "entity" else (other, first)
            yield from _named([maker, series], ": ", first.inside)
    yield from _named([first], "", first.inside)


def _theme(words: Sequence[_Said]) -> Iterator[_Candidate]:
    for other in words[1:4]:
        if other.worth >= SECOND * words[0].worth:
            yield from _named([words[0], other], " & ", words[0].worth / 4)
    yield from _named([words[0]], "", words[0].worth / 4)


def _named(parts: Sequence[_Said], glue: str, sureness: float) -> Iterator[_Candidate]:
    texts = [part.text for part in parts]
    yield from _titled(glue.join(texts), texts, sureness)


def _titled(title: str, meaning: Sequence[str], sureness: float) -> Iterator[_Candidate]:
    """Nothing where the title is too long."""
    title = " ".join(title.split())
    title = title[:1].upper() + title[1:]
    if 0 < len(title) <= MAX_TITLE:
        yield _Candidate(title, frozenset(map(str.casefold, meaning)), sureness)


def _is_name(term: _Said) -> bool:
    """A pair of words that are both written with a capital, as "Stephanie Plum"."""
    words = term.text.split()
    return term.kind == "word" and len(words) > 1 and all(word[:1].isupper() for word in words)


def _examples(names: Sequence[tuple[str, float]]) -> Iterator[_Candidate]:
    """Name the best known of these items, then others: "More like Dune and Foundation"."""
    best_known = [name for name, _ in sorted(names, key=lambda each: -each[1])]
    short = [shortened for name in best_known if (shortened := _shortened(name))]
    short = list(dict.fromkeys(name for name in short if not name.endswith(CUT))) or list(dict.fromkeys(short))
    for one, other in combinations(short, 2):
        yield from _titled(f"More like {one} and {other}", [one, other], 0)
    for one in short:
        yield from _titled(f"More like {one}", [one], 0)


def _shortened(name: str) -> str:
    """A name without its subtitle; cut at a word, and marked so, where it would fill the title."""
    bare = re.split(r"[:;(\[]|\s[-\u2013\u2014]\s", name)[0].strip(" ,.")
    if len(bare) <= LONGEST_NAME:
        return bare
    words = bare[:LONGEST_NAME].split(" ")[:-1]
    while words and words[-1].casefold() in terms.STOP_WORDS:
        words.pop()
    return " ".join(words) + CUT if words else ""


def _assign(wanted: Sequence[Sequence[_Candidate]]) -> list[str]:
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
        elif left[0].meaning in taken or left[0].title.casefold() in taken:
            heapq.heappush(queue, (-left[1].sureness if len(left) > 1 else 1.0, number, place + 1))
            continue
        else:
            chosen[number] = left[0].title
            taken.add(left[0].meaning)
        taken.add(chosen[number].casefold())
    return chosen
