# ruff: noqa: SIM905 (word lists read best as text)
"""Words that turn a statement round: negations, antonyms, and words of which only one can hold.

English only. The lists hold what comes up in manuals, contracts and reports; `antonyms.py` has more antonyms.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import regex

from fgr_retriever.agents.antonyms import ANTONYMS

NEGATIONS = frozenset(
    "not no never none neither nor nobody nothing nowhere without cannot hardly barely scarcely instead".split()
)
"""Words that negate what they belong to; so does every word in "n't"."""

_IMPLIED = """
forbidden prohibited banned excluded refused declined denied rejected stopped failed lacking missing absent
disabled except poor few little rare seldom free ignored impossible invalid unable dry dropped fixed abandoned abolished
cancelled lapsed expired ended ceased prevented avoided skipped missed lacked exempt away former formerly otherwise
"""
_OPPOSITES = """
enable allow permit activate | disable forbid prohibit ban deactivate
allowed permitted may | forbidden prohibited banned
accept approve | reject refuse decline deny
include | exclude exempt
increase rise grow raise gain climb | decrease reduce fall drop decline lower shrink cut
higher | lower
longer | shorter
larger bigger greater | smaller
improve | worsen
best highest largest longest biggest most greatest | worst lowest smallest shortest least
above over top upper | below under bottom lower
before earlier prior previously | after later afterwards since
start begin open | end stop finish close
always often usually frequently | never rarely seldom
all every everybody everyone most many | few little
common usual frequent ordinary | rare unusual exceptional uncommon
inside within during indoors internal | outside outdoors external
hot warm | cold cool
slow slowly slower | fast faster quickly quicker rapidly quick speed
cheap cheaper inexpensive | expensive dear dearer costly
safe harmless | dangerous poisonous toxic harmful unsafe hazardous
old older | new newer young younger
large big | small tiny
lot much | little few
male man | female woman
east eastern | west western
exceed surpass reach meet | miss
protect shield | expose
mandatory required compulsory obligatory | optional voluntary
possible | impossible
valid | void invalid
success succeed pass | failure fail
gentle gently | violent violently
add | remove
credit | debit
simple easy | difficult complicated hard
clear | unclear
near close | far
"""
_EXCLUSIVE = (
    "January February March April May June July August September October November December",
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "spring summer autumn winter",
    "morning noon afternoon evening night midnight",
    "red green blue yellow black white orange purple brown grey",
    "first second third fourth fifth",
    "hourly daily weekly monthly quarterly yearly",
)
_RATES = {
    "hour": "hourly", "day": "daily", "night": "daily", "nightly": "daily", "week": "weekly", "month": "monthly",
    "quarter": "quarterly", "year": "yearly", "annually": "yearly", "annual": "yearly",
}  # fmt: skip
PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non")
_BOUND_BEFORE = regex.compile(
    r"\b(?:(?P<least>at (?:the )?least|a minimum of|(?:no|not) (?:less|fewer|earlier) than)"
    r"|(?P<most>at (?:the )?most|up to|a maximum of|as (?:much|many) as|(?:no|not) (?:more|later|longer) than)"
    r"|(?P<more>(?:more|larger|greater|longer|higher|older) than|over|above|exceeding)"
    r"|(?P<less>(?:less|fewer|smaller|shorter|lower|younger) than|under|below))\s+(?:about\s+)?$",
    regex.IGNORECASE,
)
_BOUND_AFTER = regex.compile(r"\s+(?:\p{L}+\s+)?(?:(?P<least>or more|at least)|(?P<most>or (?:less|fewer)|at most))\b")
LONGEST_BOUND = 24  # characters


@dataclass(frozen=True, slots=True)
class Bound:
    """The words that make a number a limit.

    Args:
        start: The first character of the words.
        end: One past the last.
        upper: True for "at most" and "less than", False for "at least" and "more than".
        is_comparison: True for "more than" and "less than", which a "not" before them turns round.
    """

    start: int
    end: int
    upper: bool
    is_comparison: bool


def bound(text: str, start: int, end: int) -> Bound | None:
    """Find the words that make a number a limit, before or behind it.

    Args:
        text: The text.
        start: The first character of the number.
        end: One past its last.
    """
    found = _BOUND_BEFORE.search(text, max(0, start - LONGEST_BOUND), start) or _BOUND_AFTER.match(text, end)
    if found is None:
        return None
    kind = found.lastgroup
    return Bound(found.start(), found.end(), kind in ("most", "less"), kind in ("more", "less"))


def is_negation(word: str) -> bool:
    """Say whether a word negates what it belongs to."""
    plain = word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return plain in NEGATIONS or plain.endswith("n't")


def stem(word: str) -> str:
    """Give what is the same in most forms of an English word; at most five letters."""
    plain = word.casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").removesuffix("'s").removesuffix("'")
    plain = _IRREGULAR.get(plain, plain)
    for ending in ("ing", "ed", "es", "ly", "s"):
        if plain.endswith(ending) and len(plain) - len(ending) >= 3 and not plain.endswith(("eed", "ss")):
            plain = plain.removesuffix(ending)
            break
    if len(plain) > 3 and plain[-1] == plain[-2]:
        plain = plain[:-1]  # stopped, stop
    return (plain.removesuffix("e") if len(plain) > 3 else plain)[:5]


def implies_negation(word: str) -> bool:
    """Say whether a word has a negation in it, such as "disabled" or "unusual"."""
    plain = word.casefold()
    return stem(plain) in _IMPLYING or (len(plain) > 6 and is_undone(plain))


def is_listed(word: str) -> bool:
    """Say whether a word is in the lists of antonyms: an ordinary word, and no name."""
    return stem(word) in _SIDES


def is_undone(word: str) -> bool:
    """Say whether a word begins with the "un-" that negates the rest of it, as in "unused"."""
    plain = word.casefold()
    return plain.startswith("un") and len(plain) > 5 and plain[:5] not in _NOT_UN


def meanings(word: str) -> set[tuple[object, object]]:
    """Give the keys under which the opposites of a word find it; see `opposites`."""
    return {*_SIDES.get(stem(word), ()), ("plain", stem(word)), *(("negative", base) for base in _bases(word))}


def opposites(word: str) -> set[tuple[object, object]]:
    """Give the keys of the opposites of a word: antonyms that the list has, and the word with or without "un-"."""
    found: set[tuple[object, object]] = {(group, not side) for group, side in _SIDES.get(stem(word), ())}
    return found | {("negative", stem(word)), *(("plain", base) for base in _bases(word))}


def _bases(word: str) -> list[str]:
    """Give the stems of a word without a negative prefix."""
    plain = word.casefold()
    return [stem(plain.removeprefix(one)) for one in PREFIXES if plain.startswith(one) and len(plain) - len(one) > 3]


def exclusive(words: Sequence[str]) -> dict[int, dict[str, str]]:
    """Find words of which only one can hold at a time: months, weekdays, seasons, how often.

    Args:
        words: The words of a text, in order.

    Returns:
        For each class, what stands for the word and the word.
    """
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for place, word in enumerate(words):
        before = words[place - 1].casefold() if place else ""
        plain = word.casefold()
        told = _RATES.get(plain)
        if told and not (plain.endswith("ly") or plain == "annual" or _is_rate(words, place)):
            told = None
        for name in (told, word.removesuffix("s"), plain.removesuffix("s")):
            ordinal = _CLASS_OF.get(name or "") == ORDINALS  # "first" by itself is no number of something
            if (
                name
                and name in _CLASS_OF
                and (
                    before in _BEFORE_ORDINALS
                    if ordinal
                    else name != "May" or before.isdigit() or before in _BEFORE_MAY
                )
            ):
                found[_CLASS_OF[name]][name] = word
    return found


def _is_rate(words: Sequence[str], place: int) -> bool:
    """Tell "twice a month" and "each month" from "within a month", "half an hour" and "an hour and a half"."""
    before = [word.casefold() for word in words[max(place - 2, 0) : place]]
    if before[-1:] not in (["a"], ["an"]):
        return before[-1:] in (["per"], ["each"], ["every"])
    return before[0] not in _BEFORE_ONE and list(words[place + 1 : place + 3]) != ["and", "a"]


def _sides() -> dict[str, frozenset[tuple[int, bool]]]:
    """Give for each stem its lines in the lists of opposites, and the side of each."""
    found: dict[str, set[tuple[int, bool]]] = defaultdict(set)
    lines = [*_OPPOSITES.strip().splitlines(), *(pair.replace("/", " | ") for pair in ANTONYMS.split())]
    for group, line in enumerate(lines):
        for side, words in enumerate(line.split("|")):
            for word in words.split():
                found[stem(word)].add((group, bool(side)))
    return {word: frozenset(sides) for word, sides in found.items()}


_IRREGULAR = dict(
    pair.split("/")
    for pair in """
    rose/rise risen/rise fell/fall fallen/fall grew/grow grown/grow found/find won/win lost/lose bought/buy
    sold/sell took/take taken/take gave/give given/give paid/pay began/begin begun/begin went/go gone/go
    came/come wrote/write written/write made/make held/hold kept/keep left/leave built/build sent/send met/meet
    said/say told/tell brought/bring caught/catch taught/teach led/lead ran/run saw/see seen/see broke/break
    broken/break chose/choose chosen/choose drove/drive driven/drive flew/fly flown/fly knew/know known/know
    stood/stand threw/throw thrown/throw used/use spent/spend slept/sleep drank/drink drunk/drink ate/eat
    eaten/eat laid/lay dying/die died/die children/child women/woman men/man feet/foot
    """.split()
)
_SIDES = _sides()
_IMPLYING = frozenset(map(stem, _IMPLIED.split()))
_CLASS_OF = {word: number for number, words in enumerate(_EXCLUSIVE) for word in words.split()}
ORDINALS, MONTH = _CLASS_OF["first"], _CLASS_OF["May"]
_BEFORE_ORDINALS = frozenset("the a his her its their my your our each every".split())
_BEFORE_MAY = frozenset("in of by since until from and to between or before after last next".split())
_BEFORE_ONE = frozenset("a an within after for than about half roughly of last lasts take takes".split())
_NOT_UN = frozenset("under until uniqu union uniso unite unive unifo unles".split())
