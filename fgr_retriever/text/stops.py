# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and word lists read best as text)
"""Where the sentences of a stretch of prose end: which full stops belong to an abbreviation or a number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

import regex

from fgr_retriever.text.atoms import outside_atoms
from fgr_retriever.text.lines import marker

# Words that end in a full stop without ending a sentence, whatever follows.
_ALWAYS_ABBREVIATED = frozenset(
    "dr mr mrs ms prof st mt ft rev hon gen col lt sgt capt cmdr maj adm sen rep gov pres messrs mme mlle "
    "e.g i.e eg ie cf vs v viz ca approx resp z.b d.h u.a bzw vgl al evtl ggf sog dipl ing sr sra srta dott avv sig "
    "cfr p.ej p.ex aprox dra hl hll hr env bzgl gem mind".split()
)
# Words that do so before a number or a further name ("Fig. 3", "Jan. 5", "No. 5").
_ABBREVIATED_BEFORE_NUMBER = frozenset(
    "no nos nr fig figs p pp vol vols ch sec sect art arts eq eqs tab ref refs app ed op cit par ver para paras "
    "chap cap pág pag págs núm num párr parr ec éq éd réf rif lett co abs abb kap ziff rn bd aufl gl anm anh "
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
# Words that may do either: the next word decides.
_SOMETIMES_ABBREVIATED = frozenset(
    "inc ltd co corp bros llc plc jr sr esq etc a.m p.m am pm u.s u.k u.n e.u ph.d b.a m.a m.d b.c a.d d.c "
    "dept univ assn ave blvd rd est ff".split()
)
_STARTERS = frozenset(
    "the a an this that these those he she it we they i you his her its our their there here in on at by for from "
    "with after before since when while as if but and so however although though because then what who why how "
    "where which is are was were do does did".split()
)
# German words for months and the like, after the number of which they are the rest: "am 3. Oktober".
_AFTER_ORDINAL = frozenset(
    "januar jänner februar märz april mai juni juli august september oktober november dezember jahrhundert "
    "jahrhunderts jahrhunderte jh weltkrieg weltkriegs weltkrieges kapitel auflage klasse stock lebensjahr "
    "lebensjahres jahrtausend jahrtausends".split()
)
# What stands between an abbreviation's number and the rest of its sentence; after the first number of a new
# sentence stands what is counted ("12 people came").
_AFTER_REFERENCE = frozenset(
    "of and or to the in on for with under is are was were has have had may must shall applies apply at by from "
    "within without before after during than as if when per into between and not nor does do can will would should "
    "nach bei mit für im am an auf nicht wird werden kann muss soll hat haben sowie oder aus über unter wurde "
    "al a por para con sin en según se no es son lo las los que dans sur sous pour par avec ne est sont à au aux le "
    "la les nel per non si il em com não na é às ao "
    "und oder der des dem die das bis ist sind von zu gilt de del du des et ou y o e ed da do dos das du di della "
    "kg g mg km m cm mm s ms h min l ml w kw v a nm bar rpm hz °c °f".split()
)
_ORDINAL_DIGITS = 2
_LONGEST_SHORT = 5  # letters of a word that a number may make an abbreviation: "para", "temp", "reg"

# What stays in one grapheme with the character before it.
EXTEND = r"\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}"
_STOP = regex.compile(
    r"(?:(?<![.!?…؟۔])[.!?…؟۔]++\p{M}*+(?P<closers>[\"'”’“»›)\]}*_]|[ \u00a0\u202f]»(?=\s|$)|\[\d{1,3}\])*+(?=\s|$)"
    rf"|[。！？｡．।॥]++[{EXTEND}\"'”’»」』）】》〉)\]]*+)"
)
_LAST_WORD = regex.compile(r"(?r)[\p{L}\p{M}\p{N}.º°]+")
_ACRONYM = regex.compile(r"(?:\p{L}\.)+\p{L}")
_NEXT_WORD = regex.compile(r"[\p{L}\p{M}\p{N}'’.]{1,20}")
_NEXT_LETTER = regex.compile(r"\s+(?:\p{L}\.-?)+(?!\p{L})|\s+(?:UU)\.")
_NUMBER_AND_WORD = regex.compile(
    r"\s+(?:§+[ ]*)?\p{N}[\p{N}.,/\-–]*(?:(?P<glued>[\p{L}\p{M})]+)|(?:[ ](?P<word>[\p{L}\p{M}°]+))?)"
)
# A German ordinal and what stands before it: "im 2. Stock", "zum 3. Mal".
_ORDINAL = regex.compile(
    r"(?r)\b(?:im|zum|zur|vom|beim|der|die|das|den|dem|des|ab|seit|jedem|jeden|einem|einen)\s+\d{1,2}"
)
_VOWEL = regex.compile(r"[aeiouyäöüáéíóúàèìòùâêîôûãõœæ]", regex.IGNORECASE)
_WORD_BEHIND = 40


def stops(text: str, start: int, end: int, uncased: bool, near: Sequence[int] | None = None) -> list[int]:
    """Find where the sentences of a block of prose end, the last one excepted.

    Args:
        text: Any text.
        start: First character of the block.
        end: One past its last character.
        uncased: The text has no capitals, so that a small letter may begin a sentence.
        near: If given, characters of the block, ascending: only the ends of the sentences that hold them are looked
            for, and of those before these.
    """
    if near is not None and not near:
        return []
    item = marker(text, start, end)
    matches = _STOP.finditer(text, item.end() if item else start, end)
    found = [(match.end(), match) for match in matches if match.end() < end]
    if not found:
        return []
    free = list(outside_atoms(text, start, end, found))
    if near is None:
        return [border for border, match in free if _ends_sentence(text, match, end, uncased)]
    return _around(
        near, [border for border, _ in free], lambda place: _ends_sentence(text, free[place][1], end, uncased)
    )


def _around(positions: Sequence[int], borders: Sequence[int], is_end: Callable[[int], bool]) -> list[int]:
    """Find the last border before and the first behind each position for whose number something holds.

    Each border is asked at most once: this takes linear time.
    """
    found: list[int] = []
    asked = 0  # borders before this one are known
    for position in positions:
        if found and position < found[-1]:
            continue
        place = bisect_right(borders, position)
        before = next((one for one in range(place - 1, asked - 1, -1) if is_end(one)), None)
        behind = next(filter(is_end, range(place, len(borders))), None)
        found += [borders[one] for one in (before, behind) if one is not None]
        if behind is None:
            break
        asked = behind + 1
    return found


def _ends_sentence(text: str, stop: regex.Match[str], end: int, uncased: bool) -> bool:
    """Decide whether a stop ends its sentence, by the words before and after it."""
    start, border = stop.span()
    mark = text[start]
    if mark not in ".!?…":
        return True
    behind = min(end, border + _WORD_BEHIND)
    following = _NEXT_WORD.search(text, border, behind)
    word = following.group() if following else ""
    if word[:1].islower() and not uncased:
        return False
    if mark != "." or text.startswith("..", start, border):
        return True
    last = _LAST_WORD.match(text, max(0, start - _WORD_BEHIND), start)
    if last is None:
        return True
    before = last.group()
    numbered = word[:1].isdigit() or "." in word or before[-1].isdigit()
    if numbered and border - start == 1 and _goes_on(text, before, border, behind):
        return False
    return not _is_abbreviation(before, word)


def _goes_on(text: str, word: str, border: int, end: int) -> bool:
    """Say whether what follows a short word makes it an abbreviation: a number, or one more letter with a stop."""
    bare = word.strip(".")
    if bare.isdigit():
        following = _NEXT_WORD.search(text, border, end)
        if len(bare) > _ORDINAL_DIGITS or following is None:
            return False
        ordinal = _ORDINAL.match(text, max(0, border - _WORD_BEHIND), border - 1) is not None
        return ordinal or following.group().strip(".").lower() in _AFTER_ORDINAL
    if bare.endswith("str") and _NUMBER_AND_WORD.match(text, border, end):  # "Bahnhofstr. 5"
        return True
    short = len(bare) <= _LONGEST_SHORT and bare.isalpha()
    known = bare.lower() in _ABBREVIATED_BEFORE_NUMBER
    named = len(bare) <= 1 or (len(bare) < _LONGEST_SHORT and bare[0].isupper())
    if short and (known or named) and _NEXT_LETTER.match(text, border, end):
        return True
    number = _NUMBER_AND_WORD.match(text, border, end)
    if number is None or not short:
        return False
    after = number["word"]
    return (
        _VOWEL.search(bare) is None
        or after is None
        or after.lower() in _AFTER_REFERENCE
        or len(after) < 3
        or (after[0].isupper() and bare[0].isupper())
    )


def _is_abbreviation(word: str, following: str) -> bool:
    """Decide whether the full stop after a word belongs to it, given the word that follows."""
    lower = word.lower()
    starts = following.rstrip(".").lower() in _STARTERS
    if lower in _ALWAYS_ABBREVIATED:
        return True
    initial = len(word) == 1 and word.isupper()
    if lower in _ABBREVIATED_BEFORE_NUMBER and not initial:
        return following[:1].isdigit()
    acronym = _ACRONYM.fullmatch(word) is not None
    return (initial or acronym or lower in _SOMETIMES_ABBREVIATED) and not starts
