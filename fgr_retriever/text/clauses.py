# ruff: noqa: RUF001 (the look-alike characters are meant)
"""Where the phrases of a sentence meet: at commas, dashes, brackets and conjunctions, where nothing is torn apart.

A cut is left out where it would part what belongs together: a label from what it labels, the words of a name
("Department of Health and Social Care"), a verb from its clause with `that`, a condition from what follows from it,
and what stands in the brackets of a call, in a formula or in short quotation marks.
"""

from __future__ import annotations

from collections.abc import Iterator

import regex

from fgr_retriever.text.groups import number_groups
from fgr_retriever.text.negated import ungoverned
from fgr_retriever.text.shields import Border, outside_shields
from fgr_retriever.text.stops import EXTEND

# A run of marks is tried once, from its first one: from each of them would take quadratic time. Words are told apart
# by their first letters, which are looked at before all else, and behind white space that is matched, not looked back
# for: this takes half the time.
_BORDER = regex.compile(
    rf"(?P<mark>[,;:](?<![,;:]{{2}})[,;:]*+[\"'”’)\]]*+(?=\s)|[，、；：]+[{EXTEND}]*|—[{EXTEND}]*)"
    r"|(?P<open>(?<=\s)[(\[](?=\w+[^\w()\[\]]+\w+[^\w()\[\]]+\w))"
    r"|(?P<close>(?<=\w)[)\]][,;:]?(?=\s))"
    r"|\s(?=[-–—aAbBeEmMnNoOpPsStTuUwWyY])(?:(?P<mark>(?:--|[–—-])(?=\s))"
    r"|\K(?P<word>[aA](?:nd|lthough|ber)|[bB](?:ut|ecause)|[oO](?:r|der|u)|[nN]or|[yY]et|[sS](?:o|ince)"
    r"|[wW](?:hich|ho(?:m|se)?|here|hile|hereas|eil)|[tT]hough|[uU]nd|[eE]t|[mM]ais|[pP](?:ero|orque)"
    # A clause with `that` and no subject of its own tells about a noun; no verb governs it.
    r"|that(?=\s(?:is|are|was|were|will|would|can|could|has|have|had|may|might|must|do|does|did|should)\s))(?=\s))"
)
MIN_WORDS_BEFORE_CONJUNCTION = 4
MIN_WORDS_AFTER_CONJUNCTION = 3
_WORDS = regex.compile(r"\w+")
_LAST_WORD_CHARACTER = regex.compile(r"(?r)\w")
_LABEL_WORDS = 4  # words before a colon that make a label
# A sentence that begins so is no label, even if a colon comes soon: "It was so: ...".
_CLAUSE_BEFORE = regex.compile(
    r"(?i:i|it|he|she|we|they|you|this|that|these|there|and|but|so|es|er|sie|wir|das|il|elle|c'est)\b"
)
_CONDITION = regex.compile(
    r"(?i:if|unless|when|whenever|once|before|until|provided|wenn|falls|sobald|sofern|si|cuando|quand|lorsque|se|quando)\b|[Ss]['’]il"
)
_WHEN = r"(?:if|when|before|after|until|unless|once)"
_EXCEPT = (
    r"(?:except(?:ing)?|other\sthan|außer|ausgenommen|sauf|excepté|hormis|salvo|excepto|exceto|tranne|eccetto|behalve)"
)
# A comma before these does not end what the verb before it says; nor what holds only under a condition, or in time, or
# with an exception.
_GOVERNED = regex.compile(
    rf"\s+(?:dass|daß|ob|že|että|hogy|что|(?i:(?:but\s|and\s)?(?:(?:only\s|even\s|not\s)?{_WHEN}|(?:only|even|not)\swhere)"
    rf"|provided|{_EXCEPT}|save\s(?:where|that|for|as|in|by|{_WHEN})|wenn|falls|sobald|sofern|bevor|nachdem|bis"
    rf"|es\ssei\sdenn|à\smoins|a\smenos|a\smeno|tenzij))\s"
)
# An exception keeps what tells about it: "except in cases | where a court ordered it".
_EXCEPTION_BEFORE = regex.compile(rf"(?r)(?<!\w)(?i:(?:{_EXCEPT}|save|unless)\s[^,;:()]*?|(?:only|even|not)\s)")
_NAME_BEFORE = regex.compile(r"(?r)(?<![\p{L}\p{N}])(?:\p{Lu}[\p{L}\p{M}\p{N}.'’&\-]*|\p{N}[\p{N}.:,\-–]*),?\s*")
_NAME_BEHIND = regex.compile(
    r"\s*(?:(?:and|or|und|oder|et|ou|y|e|&|of|for|the|für|de|del|des|der|la|las|los)\s+){0,3}(?:\p{Lu}\p{L}|\p{N})"
)
# The rest of a series of names or a number: ", Media and Sport".
_NAMED = r"\s*(?:the[ ])?\p{Lu}[\p{L}\p{M}.'’\-]*,"
_SERIES_BEHIND = regex.compile(
    rf"\s*\p{{N}}|(?:{_NAMED}){{0,4}}{_NAMED}?\s+(?:and|or|und|oder|et|ou|y|e|&)\s+(?:the[ ])?\p{{Lu}}"
)
# An amount in two parts: "four and a half", "five years and six months", "zwei Stunden und dreißig Minuten".
_NUMBER = (
    r"(?:\p{N}[\p{N}.,]*|(?i:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\p{L}+teen|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|eine?n?|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn"
    r"|elf|zwölf|\p{L}+(?:zehn|zig|ßig)|hundert|tausend|une?|deux|trois|quatre|cinq|sept|huit|neuf|dix|vingt|trente"
    r"|un[ao]?|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|veinte|treinta))"
)
_AMOUNT_BEFORE = regex.compile(rf"(?r)(?<![\p{{L}}\p{{N}}])(?!\d{{4}},?\s){_NUMBER}(?:[ -]\p{{L}}{{1,15}})?,?\s")
_AMOUNT_BEHIND = regex.compile(
    rf"\s*(?:(?i:and|or|und|oder|et|ou|y|e|o)\s+)?(?:(?i:an?|one|eine?|une?|una?)\s+)?"
    rf"(?:(?i:half|halves|quarters?|thirds?|halbe?|halben|viertel|drittel|demie?|quart|medi[ao]|cuarto)\b|{_NUMBER}\b(?!\s(?:of|von)\b))"
)
_WORD_BEHIND = 40
_EXCEPTION = 80  # characters of an exception before the words that tell about it


def clause_borders(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where the phrases of a sentence meet, ascending.

    Args:
        text: Any text.
        start: First character of the sentence.
        end: One past its last character.
    """
    yield from ungoverned(text, start, end, list(_borders(text, start, end)))


def _borders(text: str, start: int, end: int) -> Iterator[Border]:
    """Yield where the phrases meet of a sentence that has no negation."""
    borders = [
        (match.end() if match.lastgroup in ("mark", "close") else match.start(), match)
        for match in _BORDER.finditer(text, start, end)
    ]
    if not borders:
        return
    last_word = _LAST_WORD_CHARACTER.search(text, start, end)
    word = _WORDS.search(text, start, end)
    last = start
    opened = False  # a bracket that holds a phrase
    condition = _CONDITION.match(text, start, end) is not None  # until the comma behind it
    for border, match in outside_shields(text, start, end, borders):
        if match.lastgroup == "close" and not opened:
            continue
        if match.lastgroup in ("open", "close"):
            opened = match.lastgroup == "open"
        if word is None or last_word is None or last_word.end() <= border:
            return
        if word.start() >= border:  # nothing but punctuation since the last border
            continue
        if match.lastgroup == "word" and not _parts_phrases(text, last, border, end):
            continue
        if match.lastgroup == "mark" and _holds_together(text, start, match, end):
            continue
        if condition and match.lastgroup == "mark":
            condition = False
            continue
        last, word = border, _WORDS.search(text, border, end)
        yield border, match


def _holds_together(text: str, start: int, mark: regex.Match[str], end: int) -> bool:
    """Say whether what stands before and behind a mark is one: a label, a name, what a verb says."""
    first = text[mark.start()]
    if first == ":":
        return _CLAUSE_BEFORE.match(text, start, end) is None and not _has_words(
            text, start, mark.start(), _LABEL_WORDS + 1
        )
    if first != ",":
        return first.isspace() and _is_in_number(text, start, mark, end)
    behind = min(end, mark.end() + _WORD_BEHIND)
    return (
        _GOVERNED.match(text, mark.end(), behind) is not None
        or _is_name(text, start, mark.end(), behind, _SERIES_BEHIND)
        or _is_amount(text, start, mark.end() + 1, behind)
    )


def _is_in_number(text: str, start: int, dash: regex.Match[str], end: int) -> bool:
    """Say whether a dash with spaces around it stands between two groups of one number, as in 040 - 428 63 2."""
    low, high = dash.span()
    if not (text[low - 1].isdigit() and text[high + 1 : high + 2].isdigit()):
        return False
    near = number_groups(text, max(start, low - _WORD_BEHIND), min(end, high + _WORD_BEHIND))
    return any(first < low < last for first, last in near)


def _is_amount(text: str, start: int, border: int, end: int) -> bool:
    """Say whether an amount lies before a border, with one character of white space, and the rest of it behind."""
    if _AMOUNT_BEHIND.match(text, border, end) is None:
        return False
    return _AMOUNT_BEFORE.match(text, max(start, border - _WORD_BEHIND), border) is not None


def _is_name(text: str, start: int, border: int, end: int, rest: regex.Pattern[str]) -> bool:
    """Say whether a capitalised word lies before a border, and the rest of its name behind it."""
    if rest.match(text, border, end) is None:
        return False
    return _NAME_BEFORE.match(text, max(start, border - _WORD_BEHIND), border) is not None


def _parts_phrases(text: str, last: int, border: int, end: int) -> bool:
    """Say whether a conjunction parts two phrases: enough words on both sides, and no name or number around it."""
    behind = min(end, border + _WORD_BEHIND)
    if _is_name(text, last, border, behind, _NAME_BEHIND) or _is_amount(text, last, border, behind):
        return False
    if _GOVERNED.match(text, border - 1, behind) or _excepts(text, last, border):
        return False
    return _has_words(text, last, border, MIN_WORDS_BEFORE_CONJUNCTION) and _has_words(
        text, border, end, MIN_WORDS_AFTER_CONJUNCTION
    )


def _excepts(text: str, last: int, border: int) -> bool:
    """Say whether a relative word tells about what is excepted before it."""
    return text[border] in "wWtT" and _EXCEPTION_BEFORE.match(text, max(last, border - _EXCEPTION), border) is not None


def _has_words(text: str, start: int, end: int, least: int) -> bool:
    return sum(1 for _ in zip(range(least), _WORDS.finditer(text, start, end), strict=False)) == least
