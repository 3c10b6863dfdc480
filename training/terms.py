"""What the properties of items say: entities, words and names, counted by item, for any catalogue.

Properties are arbitrary JSON. Each key is read by what its values look like: short strings that repeat are entities (an
author, a brand, a genre; several in one string or list are taken apart), long texts give words and pairs of words,
whole numbers that look like years give decades. The key called title or name (else the first text) holds an item's
name; a numbered part in parentheses at its end, "(Discworld, #5)", names the series.

Words are folded (case, plural) for counting and shown in their commonest form. The catalogue's own commonest words are
stop-words, and a text that shares few of them is in another language and gives no words.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, TypeGuard

import numpy as np

from index import arrays
from index.types import JSON, Float32, Int32, Int64

Kind: TypeAlias = Literal["series", "entity", "language", "years", "word"]
Properties: TypeAlias = Mapping[str, JSON]

LONG_TEXT = 12  # words: a property whose median is higher holds texts
COMMON = 0.15  # a word in more than this part of the texts distinguishes nothing
FOREIGN = 0.4  # a text with less than this part of the usual share of common words is in another language
MIN_ITEMS = 3  # a term of fewer items is no property of a segment
NAME_KEYS = ("title", "name")
COMMONEST = 50  # words that tell a language
SHORTEST_WORD = 3
BREAK = "\n"  # between a name and a text: no pair of words reaches over it
PUNCTUATION = frozenset(".,;:!?()")
LINKS = frozenset([",", "and", "but", "or", "yet"])  # after these an adjective may lead on to its noun,
# and before these stands a verb:
OBJECTS = frozenset(["a", "an", "the", "his", "her", "their", "its", "our", "your", "this", "these", "that"])
PART = 0.5  # a word of which so many uses are in one pair is no word of its own: "science" in "science fiction"
BEFORE_VERBS = frozenset(
    [
        "to",
        "be",
        "been",
        "is",
        "are",
        "was",
        "were",
        "must",
        "will",
        "can",
        "could",
        "he",
        "she",
        "they",
        "you",
        "we",
        "who",
    ]
)
LOVERS = frozenset(["fan", "lover", "enthusiast", "reader", "buff", "aficionado", "collector"])
THIS = "this"
REACH = 3  # words before which "this" may stand
LEAST_NOUN = 0.05  # of its uses stand as a noun does
MAX_USES = 200  # of a word, from which it is learnt how it is used
LEAST_KIND = 0.03  # of its uses say that a word is a kind of item
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
TOKEN = re.compile(WORD.pattern + r"|[.,;:!?()]")
SERIES = re.compile(r"\(([^()]+)\)\s*$")
NUMBERING = re.compile(r"[\s,:-]*(?:#|\b(?:vol|volume|book|part|no|issue)\b\.?\s*#?)\s*[\d.\u2013-]*.*$", re.IGNORECASE)
SEPARATOR = re.compile(r"\s*[;|/]\s*|,\s+(?!(?:jr|sr|inc|ltd|ph\.?d|m\.?d)\b)", re.IGNORECASE)
NAMED_LANGUAGES = {
    "Arabic": "ar ara", "Bulgarian": "bg bul", "Catalan": "ca cat", "Chinese": "zh zho chi", "Czech": "cs ces cze",
    "Danish": "da dan", "Dutch": "nl nld dut", "English": "en eng", "Finnish": "fi fin", "French": "fr fra fre",
    "German": "de deu ger", "Greek": "el ell gre", "Hebrew": "he heb", "Hindi": "hi hin", "Hungarian": "hu hun",
    "Indonesian": "id ind", "Italian": "it ita", "Japanese": "ja jpn", "Korean": "ko kor", "Norwegian": "no nor",
    "Persian": "fa fas per", "Polish": "pl pol", "Portuguese": "pt por", "Romanian": "ro ron rum", "Russian": "ru rus",
    "Serbian": "sr srp", "Spanish": "es spa", "Swedish": "sv swe", "Turkish": "tr tur", "Ukrainian": "uk ukr",
    "Vietnamese": "vi vie",
}  # fmt: skip
LANGUAGES = {code: name for name, codes in NAMED_LANGUAGES.items() for code in codes.split()}
"""By ISO 639 code: the languages that catalogues hold most."""
STOP_WORDS = frozenset(
    word
    for line in (
        "a about above after again against all also am an and any are as at away back be because been before being",
        "below between both but by can could did do does doing down during each even ever every few for from further",
        "get gets had has have having he her here hers herself him himself his how i if in into is it its itself just",
        "like made make makes many may me more most much must my myself never new no nor not now of off on once one",
        "only or other our ours out over own same she should since so some still such than that the their theirs them",
        "themselves then there these they this those through to too two under until up upon very was we were what when",
        "where which while who whom why will with within without would you your yours yourself vol volume",
    )
    for word in line.split()
)


PRAISE = frozenset(
    word
    for line in (
        "acclaimed account action-packed addictive addition alike amazing answers antic apart audience audio",
        "author award-winning backdrop beautiful beautifully beloved bestseller bestselling book bookshelf",
        "bookshelves boxed brilliant brilliantly brings captivate captivated captivating chapter charming",
        "chilling chronicles classic collection colorful commentary companion compelling complete complex",
        "conclusion condition copy critically critically-acclaimed day debut delight delightful description",
        "design edge edit edition electrifying enchanting engaging engrossing entertaining essential example",
        "exciting exploration explores extraordinary fan fans fascinating fate favorite favourite feature",
        "featured featuring fifth finale first follows fourth fresh fun gem glimpse great gripping groundbreaking",
        "hardcover harrowing heart heart-pounding heart-pumping heart-wrenching heartbreaking heartwarming",
        "hilarious iconic idea imaginative includes including incredible influential insight insightful inspiring",
        "installment intense intricate introduction inviting issue item journey joy language leaving lesson life",
        "lives look loud lovable lover lovers magnificent masterful masterfully masterpiece memorable mesmerizing",
        "model moment must-have must-read narrative new novel novella offers pace page page-turner page-turning",
        "paperback past people perfect perspective piece pioneering pit pleasure plot poignant popular portrayal",
        "power powerful praise presents product profound provocative quality reader readers realm release",
        "remarkable reprint resource reveals ride riveting rollercoaster seat second secret seminal sensation",
        "sentence sequel set shows skill spellbinding story storyline storytelling stunning style summary sure",
        "takes taking tale tells text third thought-provoking thrilling timeless together touching translated",
        "translation treasure trilogy trove truth twist unforgettable unique unputdownable updated uplifting ups",
        "valuable version volume way weaves web whirlwind wild wit witty wonderful word work world writer written",
    )
    for word in line.split()
)
"""What is said of anything that is for sale: it names no kind of thing."""


FUNCTION = (PUNCTUATION - {","}) | {BREAK, "of", "the", "a", "an", "and", "to", "in", "with", "is"}
"""Between "this" and what it points to stands none of these."""


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


@dataclass(frozen=True)
class Terms:
    """Which terms hold for which items, by item: terms of row r are numbers[starts[r]:starts[r + 1]]."""

    terms: tuple[Term, ...]
    """By number."""
    starts: Int64
    """(n_items + 1,)"""
    numbers: Int32
    """Term numbers, item by item, none twice in an item."""
    share: Float32
    """(n_terms,): part of all items that have the term."""

    def shares_in(self, items: Int32, weights: Float32) -> Float32:
        """Part of these items, by weight, that have each term, (n_terms,)."""
        numbers, places = self._of(items)
        weighted = np.bincount(numbers, weights=weights[places], minlength=len(self.terms))
        return (weighted / max(float(weights.sum()), 1e-12)).astype(np.float32)

    def entities_of(self, row: int) -> set[int]:
        """Numbers of the entities of one item."""
        numbers = self.numbers[self.starts[row] : self.starts[row + 1]].tolist()
        return {number for number in numbers if self.terms[number].kind == "entity"}

    def _of(self, items: Int32) -> tuple[Int32, Int64]:
        """Term numbers of these items, and the place in `items` that each belongs to."""
        first = self.starts[items]
        counts = self.starts[items.astype(np.int64) + 1] - first
        return self.numbers[arrays.ranges(first, counts)], np.repeat(np.arange(len(items)), counts)


def name_key(properties: Sequence[Properties]) -> str | None:
    """The property that names an item: title or name, else the first one that holds text, else None."""
    keys = dict.fromkeys(key for each in properties for key, value in each.items() if isinstance(value, str))
    named = [key for wanted in NAME_KEYS for key in keys if key.casefold() == wanted]
    return next(iter([*named, *keys]), None)


def name_of(properties: Properties, key: str | None) -> str:
    """The name of an item without its series; "" if it has none."""
    value = properties.get(key) if key is not None else None
    return SERIES.sub("", value).strip() if isinstance(value, str) else ""


def read(properties: Sequence[Properties]) -> Terms:
    """Count what the properties of items (row-aligned) say; terms of fewer than MIN_ITEMS items are left out."""
    name = name_key(properties)
    found: list[dict[Term, None]] = [{} for _ in properties]
    long_keys = []
    for key in dict.fromkeys(key for each in properties for key in each):
        values = [each.get(key) for each in properties]
        if key == name:
            _add(found, ((Term(part, "series") for part in _series(value)) for value in values))
        elif _are_years(values):
            _add(found, ([Term(_years(value), "years")] if _is_whole(value) else [] for value in values))
        elif _are_long(values):
            long_keys.append(key)
        else:
            kind: Kind = "language" if "language" in key.casefold() else "entity"
            _add(found, ((Term(part, kind) for part in _entities(kind, value)) for value in values))
    described = [" . ".join(text for key in long_keys if isinstance(text := each.get(key), str)) for each in properties]
    _add(found, _words([name_of(each, name) for each in properties], described))
    return _counted(found)


def _add(found: Sequence[dict[Term, None]], more: Iterable[Iterable[Term]]) -> None:
    for terms, new in zip(found, more, strict=True):
        terms.update(dict.fromkeys(new))


def _counted(found: Sequence[Mapping[Term, None]]) -> Terms:
    n_items = Counter(term for terms in found for term in terms)
    number = {term: i for i, term in enumerate(t for t, count in n_items.items() if count >= MIN_ITEMS)}
    numbers = [[number[term] for term in terms if term in number] for terms in found]
    return Terms(
        terms=tuple(number),
        starts=np.concatenate(([0], np.cumsum([len(each) for each in numbers]))).astype(np.int64),
        numbers=np.array([i for each in numbers for i in each], dtype=np.int32),
        share=np.array([n_items[term] / len(found) for term in number], dtype=np.float32),
    )


def _series(value: JSON) -> Iterator[str]:
    """Name each series: Discworld and Rincewind in "(Discworld, #5; Rincewind #3)"."""
    match = SERIES.search(value) if isinstance(value, str) else None
    for part in match.group(1).split(";") if match else ():
        bare = NUMBERING.sub("", part).strip(" ,:-")
        if any(letter.isalpha() for letter in bare) and bare != part.strip():
            yield bare


def _are_years(values: Sequence[JSON]) -> bool:
    numbers = [value for value in values if _is_whole(value)]
    inside = sum(1400 <= value <= 2100 for value in numbers)
    return bool(numbers) and inside >= 0.95 * len(numbers)


def _is_whole(value: JSON) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _years(year: int) -> str:
    if year < 1000:
        return "Before 1000"
    return f"{year // 10}0s" if year >= 1900 else f"{year // 100 + 1}th century"


def _are_long(values: Sequence[JSON]) -> bool:
    lengths = sorted(value.count(" ") + 1 for value in values if isinstance(value, str) and value.strip())
    return bool(lengths) and lengths[len(lengths) // 2] > LONG_TEXT


def _entities(kind: Kind, value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        parts: Iterable[str] = () if "://" in value else SEPARATOR.split(value)
    else:
        parts = (part for part in value if isinstance(part, str)) if isinstance(value, Sequence) else ()
    for part in (" ".join(part.split()) for part in parts):
        if kind == "language":
            yield LANGUAGES.get(re.split("[-_]", part.casefold())[0], part)
        elif any(letter.isalpha() for letter in part):
            yield part


def fold(word: str) -> str:
    """Lower case, without a possessive or a plural ending: how words are counted, never how they are shown."""
    folded = word.casefold().replace("\u2019", "'").removesuffix("'s")
    if len(folded) < 4 or folded.endswith(("ss", "us", "is")) or not folded.endswith("s"):
        return folded
    if folded.endswith("ies") and len(folded) > 4:
        return folded[:-3] + "y"
    return folded[:-2] if folded.endswith(("ches", "shes", "xes", "sses", "zes")) else folded[:-1]


def _words(names: Sequence[str], texts: Sequence[str]) -> Iterator[list[Term]]:
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
