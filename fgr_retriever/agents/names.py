# ruff: noqa: SIM905 (word lists read best as text)
"""Names in a claim, also at its beginning, where every word has a capital."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import regex

from fgr_retriever.agents.contradictions import Doubt
from fgr_retriever.agents.grounds import Ground
from fgr_retriever.agents.opposites import is_listed, is_negation, is_undone
from fgr_retriever.agents.source_rows import content_stems, rows_of
from fgr_retriever.agents.statement import Statement
from fgr_retriever.text.query_words import QueryWord
from fgr_retriever.text.stop_words import is_content

_INNER_CAPITAL = regex.compile(r".+\p{Lu}")
_LABELS = frozenset("note notes warning caution danger important attention answer summary result tip hint info".split())
_ENDINGS = regex.compile(
    r".{2,}(?:ing|ed|ly|[ts]ion|ment|ness|ity|[ae]nce|ship|ism|[ai]ble|ous|ful|less|age|ure|ology|ier|est)s?"
)  # of ordinary words
_WITHIN = r"(?<=[\p{Ll}\p{N},;] )"  # a word before, no mark of a list, heading or cell
_PLURAL = regex.compile(r".+[^s]s")
_SINGULAR = frozenset("is was has does".split())
_PLURAL_VERBS = frozenset("are were have do".split())
_AUXILIARY = _SINGULAR | frozenset("will would can could may might must shall should did had".split())
_SAME_EVENT = 2  # so many words make a sentence speak of the same as a claim, if they are half of it


def is_name(word: QueryWord, said: Statement) -> bool:
    """Say whether a word of a claim is a name by its capitals: the first word only by one within it."""
    if word.start > said.words[0].start:
        return word.text[0].isupper()
    return _is_marked(word.text, said.text) and not _is_ordinary(word.text)


@dataclass(frozen=True, slots=True)
class _Subject:
    """What a source says something of that a claim says, too.

    Args:
        words: Its content words.
        is_copied: Whether all words that the claim says of its own subject stand there, the first behind these.
    """

    words: Sequence[str]
    is_copied: bool


def replaced(
    said: Statement, grounds: Sequence[Ground], told: Sequence[str], is_rare: Callable[[str], bool]
) -> Iterator[Doubt]:
    """Find a claim that begins with what may be a name, where its sources have another name.

    Args:
        said: The claim; its first word is nowhere in the sources.
        grounds: Its parts and what each rests on.
        told: The sources, with a line for each row.
        is_rare: Says whether a word is none of the frequent ones.
    """
    if not _may_be_name(said):
        return
    word, text = said.words[0].text, "\n\n".join(told)
    rare, found = is_rare(word), []
    for one in (*_subjects(said, grounds), *_labels(said, told)):
        is_sure, first = _has_name(one.words, text), one.words[0]
        may_be = is_sure or (first[0].isupper() and is_rare(first) and not _ENDINGS.fullmatch(first.casefold()))
        if may_be and (rare or one.is_copied):
            found.append(rare and is_sure and one.is_copied)
    if found:
        yield Doubt(f'the cited spans have nothing for "{word}"', certain=any(found))


def _subjects(said: Statement, grounds: Sequence[Ground]) -> Iterator[_Subject]:
    """Give what the sentence that the begin of a claim rests on says most of the rest of this part of."""
    opening = said.text.lstrip()
    for one in grounds:
        about = one.part.tokens[1:]
        known = [token for token in about if token in one.sentence.tokens]
        if opening.startswith(one.part.text.strip()) and len(known) >= max(
            min(_SAME_EVENT, len(about)), len(about) / 2
        ):
            main = one.main
            verb = next((place for place, short in enumerate(main.stems) if short in about), 0)
            words = [word.text for word in main.words[:verb] if word.is_content]
            if words:
                yield _Subject(words, len(known) == len(about) and main.stems[verb] == about[0])


def _labels(said: Statement, told: Sequence[str]) -> Iterator[_Subject]:
    """Give the names of rows of which a claim has another cell."""
    asked = content_stems(said.text, without=said.quantities)
    for row in (row for table in rows_of(told)[1] for row in table):
        named = any(stems and stems <= asked for stems in row.stems[1:]) or any(map(row.places, said.quantities))
        words = [word.text for word in row.cells[0].words if word.is_content]
        if named and words and asked.isdisjoint(row.stems[0]):
            yield _Subject(words, is_copied=False)


def _may_be_name(said: Statement) -> bool:
    """Say whether the first word of a claim may be a name: no ordinary word by its form or by what follows it."""
    word, following = said.words[0].text, said.words[1].text.casefold() if len(said.words) > 1 else ""
    if not word[0].isupper() or _is_ordinary(word) or _ENDINGS.fullmatch(word.casefold()) or is_undone(word):
        return False
    if _PLURAL.fullmatch(word):
        return following in _SINGULAR or (_PLURAL.fullmatch(following) is not None and is_content(following))
    return following in _AUXILIARY or (is_content(following) and following not in _PLURAL_VERBS)


def _is_ordinary(word: str) -> bool:
    return word.casefold() in _LABELS or is_negation(word) or is_listed(word)


def _is_marked(word: str, text: str) -> bool:
    """Say whether a word of a text has a capital behind its first letter, unless the whole text is in capitals."""
    return _INNER_CAPITAL.match(word) is not None and text != text.upper()


def _has_name(subject: Sequence[str], told: str) -> bool:
    """Say whether a subject has a name: a capital within a word, or somewhere in the sources within a sentence."""
    capital = [one for one in subject if one[0].isupper()]
    return any(_is_marked(one, told) or regex.search(rf"{_WITHIN}{regex.escape(one)}\b", told) for one in capital)
