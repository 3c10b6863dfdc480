"""What is known of languages before any catalogue is read: function words, words of praise, names, and how to fold.

English, but for the names of languages; what is learnt of a catalogue's own words is in `training.words`.
"""

import re

BREAK = "\n"  # between a name and a text: no pair of words reaches over it
PUNCTUATION = frozenset(".,;:!?()")
LINKS = frozenset([",", "and", "but", "or", "yet"])  # after these an adjective may lead on to its noun,
# and before these stands a verb:
OBJECTS = frozenset(["a", "an", "the", "his", "her", "their", "its", "our", "your", "this", "these", "that"])
VERBAL = "to be been is are was were must will can could he she they you we who"
BEFORE_VERBS = frozenset(VERBAL.split())
LOVERS = frozenset(["fan", "lover", "enthusiast", "reader", "buff", "aficionado", "collector"])
THIS = "this"
WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
TOKEN = re.compile(WORD.pattern + r"|[.,;:!?()]")
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


def fold(word: str) -> str:
    """Lower case, without a possessive or a plural ending: how words are counted, never how they are shown."""
    folded = word.casefold().replace("\u2019", "'").removesuffix("'s")
    if len(folded) < 4 or folded.endswith(("ss", "us", "is")) or not folded.endswith("s"):
        return folded
    if folded.endswith("ies") and len(folded) > 4:
        return folded[:-3] + "y"
    return folded[:-2] if folded.endswith(("ches", "shes", "xes", "sses", "zes")) else folded[:-1]
