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

Kind: TypeAlias = Literal["series", "entity", "years", "word"]
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


class Term(NamedTuple):
    """One thing that can be said of items."""

    text: str
    """As it is shown."""
    kind: Kind
    """What it is."""
    leads: float = 0.0
    """Of a word: how often it leads on to another word that says something, as an adjective does."""


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

    def having(self, items: Int32, wanted: Int64) -> list[frozenset[int]]:
        """Of each wanted term, the places in `items` of those that have it."""
        numbers, places = self._of(items)
        return [frozenset(places[numbers == number].tolist()) for number in wanted]

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
            _add(found, ((Term(part, "entity") for part in _entities(key, value)) for value in values))
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


def _entities(key: str, value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        parts: Iterable[str] = () if "://" in value else SEPARATOR.split(value)
    else:
        parts = (part for part in value if isinstance(part, str)) if isinstance(value, Sequence) else ()
    for part in (" ".join(part.split()) for part in parts):
        if "language" in key.casefold():
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
    stop = (
        {key for key, count in n_items.items() if count > COMMON * len(names)}
        | {fold(word) for word in STOP_WORDS}
        | {BREAK}
        | PUNCTUATION
    )
    # a pair is no commoner than its words: leaving rare words out here spares most pairs
    dull = stop | {key for key, count in n_items.items() if count < MIN_ITEMS or len(key) < SHORTEST_WORD}
    phrases = [_phrases(words, dull) for words in keys]
    n_items = Counter(phrase for found in phrases for phrase in found)
    forms: defaultdict[str, Counter[str]] = defaultdict(Counter)
    leading: Counter[str] = Counter()
    for found, surface, words in zip(phrases, spoken, keys, strict=True):
        for phrase, places in found.items():
            if n_items[phrase] >= MIN_ITEMS:
                for first, last in places:
                    forms[phrase][" ".join(surface[first:last])] += 1
                    leading[phrase] += last < len(words) and words[last] not in stop
    shown = {
        phrase: Term(_commonest(counts), "word", leading[phrase] / counts.total()) for phrase, counts in forms.items()
    }
    return ([shown[phrase] for phrase in found if phrase in shown] for found in phrases)


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
