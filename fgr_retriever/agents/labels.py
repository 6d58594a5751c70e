# ruff: noqa: SIM905 (word lists read best as text)
"""Numbers that tell things apart: those in "B-12", of "section 7" or at the begin of a list item are no amounts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import regex

from fgr_retriever.agents.amounts import LIST, NUMBERING, Quantity
from fgr_retriever.agents.dates import MONTHS
from fgr_retriever.agents.opposites import stem
from fgr_retriever.agents.units import CURRENCIES, UNIT_OF
from fgr_retriever.text.stop_words import is_content

_NOUNS = (
    "section clause article paragraph page figure fig version room gate table chapter annex appendix exhibit chamber "
    "priority error platform building pump tank track bay dock hall zone ward batch form line model machine truck rule "
    "firmware software release"
).split()
_SINGULAR = "|".join(_NOUNS)
_PLURAL = "|".join([f"{noun}s" for noun in _NOUNS] + ["priorities"])
_DETERMINED = r"(?P<determined>\b(?:the|this|that|each|every|per|any|no)[ ])?"
_BEFORE = regex.compile(
    rf"(?:{_DETERMINED}\b(?:{_SINGULAR})\.?(?:[ \t\N{{NO-BREAK SPACE}}\r\n]{{1,3}}|-|(?P<colon>:[ ]))"
    r"|§[ \t\N{NO-BREAK SPACE}]?|\bN[or]\.[ \t\N{NO-BREAK SPACE}]?)$",
    regex.IGNORECASE,
)
_PLURAL_BEFORE = regex.compile(rf"(?:\b(?:{_PLURAL})[ \t\N{{NO-BREAK SPACE}}]|§§[ ]?)$", regex.IGNORECASE)
_GOES_ON = regex.compile(r"[ ]?(?:,|-|\N{EN DASH}|(?:, ?)?\b(?:and|or|to)\b|&)[ ]?")
_LONGEST = 24  # characters of a noun with what stands around it
_WORD = regex.compile(r"[\p{L}\p{N}]+(?:[-\u2011_.][\p{L}\p{N}]+)*")
_BESIDE = "-\u2011_"
_ITEM_BEFORE = regex.compile(r"(?:^|[\r\n\N{HORIZONTAL ELLIPSIS}])[ \t#>*_(-]*$")
_ITEM_BEHIND = regex.compile(r"[.)]{1,2}[*_]*[ \t]+[\"'*_(\[]*(?P<word>\p{L}+)")
_COUNTED = regex.compile(r"[ \t\N{NO-BREAK SPACE}-](?P<word>\p{Ll}\p{L}+)")
_CAPITAL = regex.compile(r"\b(?P<word>\p{Lu}\p{L}*)[ \N{NO-BREAK SPACE}]$")  # "HR 31" may be "HR-31"
_YEARS = range(1900, 2100)


def labelled(text: str, numbers: Sequence[Quantity]) -> list[Quantity]:
    """Say of each number without a unit whether it is a label or counts something.

    Args:
        text: Any text.
        numbers: Its numbers, in order.
    """
    words = [match.span() for match in _WORD.finditer(text) if match.group()[0].isalpha()]
    found: list[Quantity] = []
    is_plural = False
    for one in numbers:
        if one.measured or one.implied or one.value in _YEARS:
            found.append(one)
            continue
        before = text[max(found[-1].end if found else 0, one.start - _LONGEST) : one.start]
        is_plural = _PLURAL_BEFORE.search(before) is not None or (is_plural and _GOES_ON.fullmatch(before) is not None)
        label = next(_labels(text, one, words), "")
        if is_plural and (_GOES_ON.match(text, one.end) or not _PLURAL_BEFORE.search(before)):
            label = label or NUMBERING
        noun = _noun(text, one)
        is_unclear = noun is not None and not noun["colon"]  # "in the room 12 people sat", "section seven says"
        found.append(replace(one, label=label, counted="" if label or is_unclear else _counted(text, one)))
    return found


def _labels(text: str, one: Quantity, words: Sequence[tuple[int, int]]) -> Iterator[str]:
    """Give the letters before a number in one word, or what numbering it is of."""
    word = next(((start, end) for start, end in words if start < one.start < end), None)
    if word and (name := _name(text[word[0] : one.start])):
        yield name
    item, is_spelled = _ITEM_BEHIND.match(text, one.end), not text[one.start].isdigit()
    before = text[max(one.start - _LONGEST, 0) : one.start]
    if item and not is_spelled and not _is_month(item["word"]) and _ITEM_BEFORE.search(before):
        yield LIST
    noun = _noun(text, one)
    if noun and not noun["determined"]:
        is_count = (noun["colon"] or is_spelled) and _counted(text, one)  # "Room: 12 people"
        yield "" if is_count else NUMBERING


def _noun(text: str, one: Quantity) -> regex.Match[str] | None:
    """Find a noun that a number may stand behind, such as "section"."""
    return _BEFORE.search(text[max(one.start - _LONGEST, 0) : one.start])


def _name(head: str) -> str:
    """Give what stands before a number in its word if it makes the word an identifier: "hr" of "HR-31"."""
    letters = regex.sub(r"[^\p{L}\p{N}]", "", head).casefold()
    if UNIT_OF.get(letters, ("",))[0] in CURRENCIES or _is_month(letters):
        return ""
    is_joined = head[-1].isalnum()
    return letters if is_joined or (head[-1] in _BESIDE and head.upper() == head) else ""


def _is_month(word: str) -> bool:
    return len(word) > 2 and any(month.casefold().startswith(word.casefold()) for month in MONTHS)


def _counted(text: str, one: Quantity) -> str:
    """Give the stem of the word behind a number that counts: "people" of "12 people", nothing of "Apollo 11 landed"."""
    behind, name = _COUNTED.match(text, one.end), _CAPITAL.search(text[max(one.start - _LONGEST, 0) : one.start])
    if not behind or not is_content(behind["word"]) or (name and _tells(name["word"])):
        return ""
    return stem(behind["word"])


def _tells(word: str) -> bool:
    """Say whether a word with a capital may be a name: one of content, or a letter as in "B 12"."""
    return is_content(word) or (word.isupper() and word not in ("A", "I"))
