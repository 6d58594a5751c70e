# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and word lists read best as text)
r"""Offset-preserving segmentation: texts into sentences, sentences into phrases.

A text is first cut into blocks where its lines say so (blank lines, headings, list items, table
rows, fenced code, speaker turns; a soft-wrapped line goes on with its block), then each block at
its full stops. No model and no language setting: the rules cover scripts with and without spaces.
All of it takes linear time, and every range is free of surrounding white space.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex

from fgr_retriever.text.atoms import is_table_row, spaced_atoms

# Words that end in a full stop without ending a sentence, whatever follows.
_ALWAYS_ABBREVIATED = frozenset(
    "dr mr mrs ms prof st mt ft rev hon gen col lt sgt capt cmdr maj adm sen rep gov pres messrs mme mlle "
    "e.g i.e eg ie cf vs viz ca approx resp z.b d.h u.a bzw vgl al".split()
)
# Words that do so before a number or a further name ("Fig. 3", "Jan. 5", "No. 5").
_ABBREVIATED_BEFORE_NUMBER = frozenset(
    "no nos nr fig figs p pp vol vols ch sec sect art eq eqs tab ref refs app ed op cit par ver "
    "jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
# Words that may do either: the next word decides.
_SOMETIMES_ABBREVIATED = frozenset(
    "inc ltd co corp bros llc plc jr sr esq etc a.m p.m am pm u.s u.k u.n e.u ph.d b.a m.a m.d b.c a.d d.c "
    "dept univ assn ave blvd rd est".split()
)
_STARTERS = frozenset(
    "the a an this that these those he she it we they i you his her its our their there here in on at by for from "
    "with after before since when while as if but and so however although though because then what who why how "
    "where which is are was were do does did".split()
)

# What stays in one grapheme with the character before it.
_EXTEND = r"\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}"
_STOP = regex.compile(
    r"(?:(?<![.!?…؟۔])[.!?…؟۔]++\p{M}*+(?P<closers>[\"'”’»›)\]}*_]|\[\d{1,3}\])*+(?=\s|$)"
    rf"|[。！？｡．।॥]++[{_EXTEND}\"'”’»」』）】》〉)\]]*+)"
)
_LINE = regex.compile(r"[^\r\n]++")
_BLANK_LINES = regex.compile(r"(?:\r\n|[\r\n])(?:[^\S\r\n]*(?:\r\n|[\r\n]))+")
_FENCE = regex.compile(r"[ ]{0,3}(`{3,}|~{3,})")
_MARKER = regex.compile(r"[^\S\r\n]*(?:[-*+•‣◦▪●–]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)]|\(?[A-Z]\))[^\S\r\n]+")
_HEADING = regex.compile(r"[ ]{0,3}\#{1,6}\s+\S")
_RULE = regex.compile(r"[^\S\r\n]*([-=_*~]{3,}|(?:[-_*][ ]){2,}[-_*])\s*$")
_TURN = regex.compile(
    r"\s*(?:[\[(]?\d{1,2}:\d{2}(?::\d{2})?[\])]?[ ]*)?\**"
    r"(?:[\p{Lu}\p{Lo}][\p{L}\p{M}\p{N}.'’_-]*(?:[ ]|(?=[:：*]))){1,4}"
    r"(?:\([^()\r\n]{1,30}\))?\**(?::\**\s|：)"
)
_LOG_LINE = regex.compile(r"\s*[\[(]?\d{4}-\d\d-\d\d[T ]\d\d:\d\d")
_CODE_LINE = regex.compile(
    r".*(?:[{}]|[)\]}];|\):)\s*$|\s*[\w.\[\]]+\s*(?:[-+*/|&]?=|:=)\s*\S|\s*(?:import|from)\s+[\w.]+\s*$"
)
_LAST_WORD = regex.compile(r"(?r)[\p{L}\p{M}\p{N}.]+")
_ACRONYM = regex.compile(r"(?:\p{L}\.)+\p{L}")
_NEXT_WORD = regex.compile(r"[\p{L}\p{M}\p{N}'’.]{1,20}")
_WORD_BEHIND = 40

# A run of marks is tried once, from its first one: from each of them would take quadratic time.
_BORDER = regex.compile(
    rf"(?P<mark>(?<![,;:])[,;:]++[\"'”’)\]]*+(?=\s)|[，、；：]+[{_EXTEND}]*|\s(?:--|[–—-])(?=\s)|—[{_EXTEND}]*)"
    r"|(?P<open>(?<=\s)[(\[](?=\w+[^\w()\[\]]+\w+[^\w()\[\]]+\w))"
    r"|(?P<close>(?<=\w)[)\]][,;:]?(?=\s))"
    r"|(?<=\s)(?P<word>(?i:and|but|or|nor|yet|so|which|who|whom|whose|where|when|while|whereas|because|since|although"
    r"|though|unless|until|if|after|before|that|und|aber|oder|weil|dass|et|mais|ou|qui|que|pero|porque))(?=\s)"
)
MIN_WORDS_BEFORE_CONJUNCTION = 4
MIN_WORDS_AFTER_CONJUNCTION = 3
_WORDS = regex.compile(r"\w+")
_LAST_WORD_CHARACTER = regex.compile(r"(?r)\w")
_MAX_TITLE = 100


def sentences(text: str) -> list[tuple[int, int]]:
    """Cut a text into sentences, list items, table rows, code lines and speaker turns.

    Args:
        text: Any text.

    Returns:
        Character ranges, ascending and disjoint, without white space at their ends, that together
        hold every other character.
    """
    uncased = text.islower()
    found = []
    for start, end, is_prose in _blocks(text):
        if is_prose:
            found += _split(text, start, end, _stops(text, start, end, uncased))
        else:
            found += _split(text, start, end, ())
    return found


def phrases(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Cut one sentence into phrases: at commas, dashes, brackets and conjunctions.

    Args:
        text: Any text.
        start: First character of the sentence, as `sentences` gives it.
        end: One past its last character.

    Returns:
        Character ranges as for `sentences`. A table row is one phrase.
    """
    if is_table_row(text[start:end]):
        return [(start, end)]
    return _split(text, start, end, _clause_borders(text, start, end))


def paragraph_breaks(text: str) -> list[int]:
    """Find the blank lines.

    Args:
        text: Any text.

    Returns:
        Where the line breaks around each run of blank lines begin, ascending.
    """
    return [match.start() for match in _BLANK_LINES.finditer(text)]


def title(text: str) -> tuple[int, int] | None:
    """Find the title line that a text begins with.

    Args:
        text: Any text.

    Returns:
        The character range of the first line if it is a heading, or short, without a full stop and
        set off from the text after it; None if there is none.
    """
    lines = _LINE.finditer(text)
    first = next((line for line in lines if not line.group().isspace()), None)
    second = next(lines, None)
    if first is None or second is None:
        return None
    line = first.group().strip()
    start = first.start() + len(first.group()) - len(first.group().lstrip())
    found = start, start + len(line)
    if _HEADING.match(line) or _RULE.match(second.group()):
        return found
    structured = is_table_row(line) or _FENCE.match(line) or _MARKER.match(line) or _CODE_LINE.match(line)
    if structured or len(line) > _MAX_TITLE or line[-1] in ".!?,;:…。！？：，；" or line[0].islower():
        return None
    if _BLANK_LINES.match(text, first.end()):
        return found
    # On adjacent lines: a soft-wrapped line would have taken the next line's first word.
    following = second.group().strip()
    room = len(following) - len(line) - 1
    return found if following and not following[0].islower() and room > len(following.split()[0]) else None


def _split(text: str, start: int, end: int, borders: Iterable[int]) -> list[tuple[int, int]]:
    """Cut a range at ascending positions and strip the white space around the pieces."""
    found = []
    for border in (*borders, end):
        piece = text[start:border]
        bare = piece.strip()
        if bare:
            start += len(piece) - len(piece.lstrip())
            found.append((start, start + len(bare)))
        start = border
    return found


def _blocks(text: str) -> Iterator[tuple[int, int, bool]]:
    """Yield the ranges between which no sentence goes on, and whether they hold prose."""
    start = end = -1  # of the open block of prose, if start >= 0
    fence = ""
    last_line = 0
    for match in _LINE.finditer(text):
        line = match.group()
        blank_before = "\n" in (gap := text[last_line : match.start()]) and len(gap.replace("\r\n", "\n")) > 1
        last_line = match.end()
        mark = _FENCE.match(line)
        alone = bool(fence or mark) or _stands_alone(line)
        if start >= 0 and (alone or blank_before or "\r\r" in gap or line.isspace() or _begins_block(line)):
            yield start, end, True
            start = -1
        if alone:
            yield match.start(), match.end(), False
        elif not line.isspace():
            start, end = (start if start >= 0 else match.start()), match.end()
        if mark and not fence:
            fence = mark[1]
        elif mark and mark[1].startswith(fence) and not line.strip(" `~"):
            fence = ""
    if start >= 0:
        yield start, end, True


def _stands_alone(line: str) -> bool:
    """Say whether a line is a segment of its own: a table row, heading, rule, or line of code."""
    return (
        is_table_row(line)
        or any(pattern.match(line) is not None for pattern in (_HEADING, _RULE))
        or ((line[-1] in "{};:" or "=" in line or "import" in line) and _CODE_LINE.match(line) is not None)
    )


def _begins_block(line: str) -> bool:
    """Say whether a line begins a list item, a speaker turn or a log entry."""
    return any(pattern.match(line) is not None for pattern in (_MARKER, _TURN, _LOG_LINE))


def _stops(text: str, start: int, end: int, uncased: bool) -> Iterator[int]:
    """Yield where the sentences of a block of prose end, the last one excepted."""
    marker = _MARKER.match(text, start, end)
    stops = ((match.end(), match) for match in _STOP.finditer(text, marker.end() if marker else start, end))
    for border, match in _outside_atoms(text, start, end, stops):
        if border < end and _ends_sentence(text, match, end, uncased):
            yield border


def _ends_sentence(text: str, stop: regex.Match[str], end: int, uncased: bool) -> bool:
    """Decide whether a stop ends its sentence, by the words before and after it."""
    mark = text[stop.start()]
    if mark not in ".!?…":
        return True
    following = _NEXT_WORD.search(text, stop.end(), min(end, stop.end() + _WORD_BEHIND))
    word = following.group() if following else ""
    if word[:1].islower() and not uncased:
        return False
    if mark != "." or stop.group()[1:2] == ".":
        return True
    last = _LAST_WORD.match(text, max(0, stop.start() - _WORD_BEHIND), stop.start())
    return last is None or not _is_abbreviation(last.group(), word)


def _is_abbreviation(word: str, following: str) -> bool:
    """Decide whether the full stop after a word belongs to it, given the word that follows."""
    lower = word.lower()
    starts = following.rstrip(".").lower() in _STARTERS
    if lower in _ALWAYS_ABBREVIATED:
        return True
    if lower in _ABBREVIATED_BEFORE_NUMBER:
        return following[:1].isdigit()
    initial = len(word) == 1 and word.isupper()
    acronym = _ACRONYM.fullmatch(word) is not None
    return (initial or acronym or lower in _SOMETIMES_ABBREVIATED) and not starts


def _clause_borders(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where the phrases of a sentence meet."""
    last_word = _LAST_WORD_CHARACTER.search(text, start, end)
    word = _WORDS.search(text, start, end)
    last = start
    opened = False  # a bracket that holds a phrase
    borders = (
        (match.end() if match.lastgroup in ("mark", "close") else match.start(), match)
        for match in _BORDER.finditer(text, start, end)
    )
    for border, match in _outside_atoms(text, start, end, borders):
        if match.lastgroup == "close" and not opened:
            continue
        if match.lastgroup in ("open", "close"):
            opened = match.lastgroup == "open"
        if word is None or last_word is None or last_word.end() <= border:
            return
        if word.start() >= border:  # nothing but punctuation since the last border
            continue
        if match.lastgroup == "word" and not _is_long_enough(text, last, border, end):
            continue
        last, word = border, _WORDS.search(text, border, end)
        yield border


def _outside_atoms(
    text: str, start: int, end: int, borders: Iterable[tuple[int, regex.Match[str]]]
) -> Iterator[tuple[int, regex.Match[str]]]:
    """Leave out the borders, ascending, that lie inside inline code or a Markdown link."""
    atoms = iter(spaced_atoms(text, start, end))
    atom = next(atoms, (end, end))
    for border, match in borders:
        while atom[1] < border:
            atom = next(atoms, (end, end))
        if not atom[0] < border < atom[1]:
            yield border, match


def _is_long_enough(text: str, last: int, border: int, end: int) -> bool:
    """Say whether a conjunction has enough words on both sides to part two phrases."""
    return _has_words(text, last, border, MIN_WORDS_BEFORE_CONJUNCTION) and _has_words(
        text, border, end, MIN_WORDS_AFTER_CONJUNCTION
    )


def _has_words(text: str, start: int, end: int, least: int) -> bool:
    return sum(1 for _ in zip(range(least), _WORDS.finditer(text, start, end), strict=False)) == least
