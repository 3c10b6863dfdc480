"""The words of names and texts: which say anything, how each is written, and how it is used.

A word is a noun where clauses end with it or go on with a function word; a kind of item where texts say "this gripping
thriller" or "fans of horror"; no word of its own where half its uses are in one pair of words ("science fiction").
Words are folded (case, plural) for counting and shown in their commonest form. The catalogue's own commonest words are
stop-words, and a text that shares few of them is in another language and gives no words.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal, NamedTuple, TypeAlias

from training.language import (
    BEFORE_VERBS,
    BREAK,
    FUNCTION,
    LINKS,
    LOVERS,
    OBJECTS,
    PRAISE,
    PUNCTUATION,
    STOP_WORDS,
    THIS,
    TOKEN,
    fold,
)

Kind: TypeAlias = Literal["series", "entity", "language", "years", "word"]

MIN_ITEMS = 3  # a term of fewer items is no property of a segment
COMMON = 0.15  # a word in more than this part of the texts distinguishes nothing
FOREIGN = 0.4  # a text with less than this part of the usual share of common words is in another language
COMMONEST = 50  # words that tell a language
SHORTEST_WORD = 3
PART = 0.5  # a word of which so many uses are in one pair is no word of its own: "science" in "science fiction"
REACH = 3  # words before which "this" may stand
LEAST_NOUN = 0.05  # of its uses stand as a noun does
MAX_USES = 200  # of a word, from which it is learnt how it is used
LEAST_KIND = 0.03  # of its uses say that a word is a kind of item


class Term(NamedTuple):
    """One thing that can be said of items."""

    text: str
    """As it is shown."""
    kind: Kind
    """What it is."""
    stands: float = 1.0
    """Of a word: how often a clause ends with it or goes on with a function word, as after a noun."""
    acts: float = 0.0
    """Of a word: how often it follows such a word as "to" or "they", as a verb does."""
    kinds: float = 0.0
    """Of a word: how often it is what "this" is ("this gripping thriller") or what has lovers ("fans of horror").

    Always, of one that stands in names only.
    """


def words_of(names: Sequence[str], texts: Sequence[str]) -> Iterator[list[Term]]:
    """Words and pairs of words of each item, shown in the form that the texts (else the names) use most."""
    told = [TOKEN.findall(text) for text in texts]
    foreign = _foreign([[word.casefold() for word in words if word not in PUNCTUATION] for words in told])
    spoken = [
        [] if strange else [*TOKEN.findall(name.casefold()), BREAK, *words]
        for name, words, strange in zip(names, told, foreign, strict=True)
    ]
    folded = {word: fold(word) for word in set().union(*spoken)}
    keys = [[folded[word] for word in words] for words in spoken]
    n_items = Counter(key for words in keys for key in set(words))
    function = {fold(word) for word in STOP_WORDS} | {BREAK} | PUNCTUATION
    stop = {key for key, count in n_items.items() if count > COMMON * len(names)} | function
    # a pair is no commoner than its words: leaving rare words out here spares most pairs
    dull = stop | {key for key, count in n_items.items() if count < MIN_ITEMS or len(key) < SHORTEST_WORD}
    phrases = [_phrases(words, dull) for words in keys]
    n_items = Counter(phrase for found in phrases for phrase in found)
    uses: defaultdict[str, _Uses] = defaultdict(_Uses)
    after_nouns = function - LINKS - OBJECTS
    common = stop - function - LOVERS
    heads = _nouns(keys, common, after_nouns)
    stops = _Stop(after_nouns, heads, common - heads - {fold(word) for word in PRAISE})
    for found, surface, words in zip(phrases, spoken, keys, strict=True):
        n_named = words.index(BREAK) if words else 0
        for phrase, places in found.items():
            if n_items[phrase] >= MIN_ITEMS and uses[phrase].count() < MAX_USES:
                for first, last in places:
                    if first < n_named:
                        uses[phrase].add_name(" ".join(surface[first:last]))
                    else:
                        uses[phrase].add(surface, words, first, last, stops)
    parts = _parts({phrase: n_items[phrase] for phrase in uses})
    shown = {phrase: each.term(is_part=phrase in parts) for phrase, each in uses.items()}
    return ([shown[phrase] for phrase in found if phrase in shown] for found in phrases)


class _Stop(NamedTuple):
    """Words that say nothing of an item."""

    after_nouns: AbstractSet[str]
    """What follows a noun, and no adjective."""
    heads: AbstractSet[str]
    """Nouns that are common in this catalogue: "novel"."""
    qualities: AbstractSet[str]
    """Other common words that do not praise: "young"."""


class _Uses:
    """How a word or a pair of words is used in all texts."""

    def __init__(self) -> None:
        self._forms: Counter[str] = Counter()
        self._kinds: Counter[str] = Counter()
        self._n = self._named = self._stands = self._acts = 0

    def add_name(self, form: str) -> None:
        """Count one use in a name, which is not made of clauses."""
        self._forms[form] += 1
        self._n += 1
        self._named += 1

    def add(self, surface: Sequence[str], words: Sequence[str], first: int, last: int, stop: _Stop) -> None:
        """Count one use, words[first:last], of which the surface is what is written."""
        form = " ".join(surface[first:last])
        self._forms[form] += 1
        self._n += 1
        before = words[first - 1] if first else BREAK
        after = words[last] if last < len(words) else BREAK
        self._stands += after in stop.after_nouns
        self._acts += before in BEFORE_VERBS
        if _is_this(words[max(first - REACH, 0) : first], stop.heads) or _is_loved(words, first, after):
            form = f"{form} {surface[last]}" if after in stop.heads else form
            self._kinds[f"{surface[first - 1]} {form}" if before in stop.qualities else form] += 1

    def count(self) -> int:
        """How many uses were counted."""
        return self._n

    def term(self, *, is_part: bool) -> Term:
        """The word as it is mostly written; a kind of item with what mostly follows: "graphic novel"."""
        n_uses, n_kinds, text = self._n, self._kinds.total(), _commonest(self._forms)
        stands, acts, kinds = (each / n_uses for each in (self._stands + self._named, self._acts, n_kinds))
        if is_part:
            return Term(text, "word", 0.0, acts)
        if self._named == n_uses:
            return Term(text, "word", 1.0, 0.0, 1.0)
        if kinds < LEAST_KIND or n_kinds < MIN_ITEMS:
            return Term(text, "word", stands, acts)
        named = _plural(_commonest(self._kinds), self._kinds)
        if named in self._forms:
            return Term(named, "word", stands, acts, kinds)
        return Term(named, "word", 1.0, acts, kinds)


def _parts(uses: Mapping[str, int]) -> set[str]:
    """Words that are mostly used in one pair of words."""
    return {
        word for pair, n in uses.items() if " " in pair for word in pair.split() if n >= PART * uses.get(word, n + 1)
    }


def _nouns(texts: Iterable[Sequence[str]], words: AbstractSet[str], after_nouns: AbstractSet[str]) -> set[str]:
    """Those of the words that stand as nouns do."""
    uses, stands = Counter[str](), Counter[str]()
    for text in texts:
        for word, after in zip(text, [*text[1:], BREAK], strict=False):
            if word in words:
                uses[word] += 1
                stands[word] += after in after_nouns
    return {word for word in uses if stands[word] >= LEAST_NOUN * uses[word]}


def _plural(name: str, kinds: Counter[str]) -> str:
    """The plural of a kind of item where it is used: "thrillers", but "fantasy"."""
    words = name.split()
    plurals = (each for each in kinds if kinds[each] > 1 and each.split()[:-1] == words[:-1] and len(each) > len(name))
    return next((each for each in plurals if fold(each.split()[-1]) == fold(words[-1])), name)


def _is_loved(words: Sequence[str], first: int, after: str) -> bool:
    """Whether it says "fans of it" or "its fans"."""
    return after in LOVERS or (first > 1 and words[first - 1] == "of" and words[first - 2] in LOVERS)


def _is_this(before: Sequence[str], heads: AbstractSet[str]) -> bool:
    """Whether "this" stands before, with nothing between but words that tell more of the same."""
    for word in reversed(before):
        if word == THIS:
            return True
        if word in FUNCTION or word in heads:
            return False
    return False


def _phrases(keys: Sequence[str], dull: AbstractSet[str]) -> dict[str, list[tuple[int, int]]]:
    """Where the words and pairs of words that may say something stand."""
    places: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for first, (key, after) in enumerate(zip(keys, [*keys[1:], BREAK], strict=False)):
        if key in dull:
            continue
        places[key].append((first, first + 1))
        if after not in dull and after != key:
            places[f"{key} {after}"].append((first, first + 2))
    return places


def _commonest(forms: Counter[str]) -> str:
    return min(forms, key=lambda form: (-forms[form], form))


def _foreign(texts: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each text uses far fewer of the catalogue's commonest words than is usual."""
    n_texts = Counter(word for words in texts for word in set(words))
    usual = {word for word, count in n_texts.most_common(COMMONEST) if count > COMMON * len(texts)}
    parts = [sum(word in usual for word in words) / len(words) if words else None for words in texts]
    known = sorted(part for part in parts if part is not None)
    least = FOREIGN * known[len(known) // 2] if known else 0.0
    return [part is not None and part < least for part in parts]
