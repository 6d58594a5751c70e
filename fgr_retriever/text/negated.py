# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and a word list reads best as text)
"""Where a piece of a sentence may begin without turning it round: not behind a negation that governs it.

"No visitor, even with a guide, may enter" has two commas, but what begins at one of them says the opposite. Behind a
negation a border stands only where a statement of its own begins, or a subordinate clause after which nothing goes on.
Where that is unsure, it does not stand. Some of the commonest words of other languages are told, too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import accumulate

import regex

from fgr_retriever.text.shields import Border, outside_shields

_NO = (
    r"(?:[nN](?:o(?!\.|\s(?:doubt|matter)\b)(?:t(?:hing)?|body|[ -]one|ne?|where|r)?|ever|either|ichts?|ie|iemals"
    r"|iemand(?:e[mn])?|irgends|e|i|em|é|unca|adie|ingun[oa]s?|ingún|essun[oa]?|iente|ulla|ão|enhum(?:a|as|ns)?|inguém"
    r"|iets?|ooit|ergens)|N(?:OT?|ONE|OBODY|EVER|EITHER|ICHT))(?!\w)"
)
# A quick look, for most sentences have no negation. Here Python's own engine takes half the time, with plain words.
_RARE = (
    r"kein\w* weder without geen pas jamais jamás aucune? mai tampoco cannot hardly scarcely barely rarely seldom ohne "
    "sans sin senza sem zonder"
).split()
_OTHERS = re.compile(
    r"(?:[\s(\[\"“„«'—–]|\A)(?=[a-cghj-prstwzA-CGHJ-PRSTWZ])"
    rf"(?:{'|'.join(_RARE)}|{'|'.join(map(str.capitalize, _RARE))})\b"
)
_MAYBE = regex.compile(rf"\b{_NO}|n['’]t|\b[nN]['’]")
_NEGATION = regex.compile(
    rf"\b(?<![\-/])(?:(?:{_NO}|[kK]eine?[mnrs]?|[kK]einesfalls|[kK]eineswegs|[wW]eder|[gG]een|pas|[jJ]amais|[jJ]amás"
    r"|[aA]ucune?|[mM]ai|[tT]ampoco|(?P<verb>[cC]annot)|[hH]ardly|[sS]carcely|[bB]arely|[rR]arely|[sS]eldom"
    # These govern the verb behind them, but nothing if it stands before them.
    r"|(?P<late>[wW]ithout|[oO]hne|[sS]ans|[sS]in|[sS]enza|[sS]em|[zZ]onder|(?:[wW]ith|[aA]t|[fF]or)\sno))(?!\w)(?!-)"
    # "Not only" and "no later than" negate nothing but the word behind them.
    r"(?!\s(?:only|just|merely|simply|later|earlier|sooner|less|fewer|nur|bloß|seulement|s[oó]lo|solamente|soltanto|alleen)\b)"
    r"|[nN]['’](?=\p{L}{2}))|(?P<verb>n['’]t)(?!\w)"
)
_VERB = (
    r"(?i:(?:is|are|was|were|wo|would|ca|could|might|must|sha|should|has|have|had|does|do|did)n['’]t|is|are|was|were|will"
    r"|would|can|could|may|might|must|shall|should|has|have|had|does|do|did|ist|sind|war|waren|wird|werden|wurden?|kann"
    r"|können|konnten?|darf|dürfen|muss|müssen|soll|sollen|hat|haben|hatten?|est|sont|était|étaient|ont|avait|sera|seront"
    r"|peut|peuvent|doit|doivent|es|están?|fue|fueron|ha|han|será|serán|puede|pueden|debe|deben|è|sono|può|possono|deve"
    r"|devono|hanno|é|são|pode|podem|devem|tem|foi|kan|kunnen|mag|mogen|moet|moeten|heeft|zijn)(?!\w)"
)
_RELATIVE = (
    r"(?i:that|which|who|whom|whose|where|when|if|because|while"
    r"|dass|daß|weil|wenn|qui|que|qu['’]\w+|dont|che|dat)(?!\w)"
)
_VERB_FIRST = regex.compile(rf"\s*[\"'“(]?{_VERB}")
_VERB_BEFORE = regex.compile(rf"(?r)(?<!\w){_VERB}\s+(?:(?!(?i:that|dass|daß|que|che)\s)\w+\s+)?")
_VERB_OR_RELATIVE = regex.compile(rf"(?<!\w)(?:(?P<verb>{_VERB})|{_RELATIVE})")
# What follows these is denied as a whole: "It is not true that ...".
_CONTENT = regex.compile(r"(?<!\w)(?i:that|whether|how|why|what|dass|daß|ob|que|qu['’]\w+|che|dat)(?!\w)")
_TURN = regex.compile(
    r"\s*(?i:but|yet|however(?=,)|instead|aber|sondern|jedoch|doch|mais|cependant|pero|sino|ma|però|mas|porém|maar)(?!\w)"
)
_PRONOUN = (
    r"(?i:I|you|he|she|it|we|they|there|this|these|those|ich|er|sie|wir|ihr|man|je|j['’]\w+|il|elle|on|nous|vous|ils|elles"
    r"|c['’]\w+|él|ella|ellos|ellas|usted|ustedes|io|lui|lei|noi|loro|ele|ela|eles|elas|hij|zij|wij)(?!\w)"
)
_ARTICLE = (
    r"(?i:l['’]|(?:the|an?|my|your|his|her|its|our|their|each|every|all|any|some|many|most|both|one|der|die|das|den|eine?"
    r"|alle|jede[rs]?|la|les?|une?|el|l[ao]s|una|il|lo|gli|os?|uma?|het|de|een)(?!\w))"
)
# A subject of a few words, its verb, and something behind it.
_SUBJECT = rf"(?:(?!{_VERB}|{_RELATIVE})[^\s,;:]++\s+){{1,6}}+{_VERB}\s+\w"
_AND_SAYS = regex.compile(
    rf"\s*(?i:and|or|so|und|oder|et|ou|y|e|o|en)\s+(?:(?P<pronoun>{_PRONOUN})|(?i:that|dass|daß|que|che)\s(?!of\s)|{_SUBJECT})"
)
_SAYS = regex.compile(rf"\s*[\"'“(]?(?:{_PRONOUN}|(?:(?={_ARTICLE})|(?=\p{{Lu}})){_SUBJECT})")
# A subordinate clause behind a comma; and one that no negation before it governs, without a comma.
_ASIDE = regex.compile(
    r"\s*(?:(?i:and|even)\s+)?(?i:which|who|whom|whose|where|while|whereas|although|though|because|since|as|so|weil|da"
    r"|denn|während|obwohl|wobei|welche\w?|qui|dont|où|parce|car|puisque|tandis|alors|bien|quien|quienes|cuyo|donde"
    r"|porque|pues|aunque|mientras|cui|dove|perché|poiché|mentre|sebbene|onde|pois|embora|enquanto|omdat|want|terwijl"
    r"|hoewel|waar)(?!\w)"
)
_CONTRAST = regex.compile(r"\s*(?i:while|whereas|although|though|yet)(?!\w)")
# A sentence that begins with a subordinate clause, and how its main clause may begin behind the comma.
_FRONTED = regex.compile(
    r"\W*(?i:although|though|because|since|while|whereas|as|weil|da|obwohl|während|nachdem|bien|puisque|aunque|porque"
    r"|sebbene|poiché|embora|omdat|hoewel)(?!\w)"
)
_SUBJECT_FIRST = regex.compile(rf"\s*(?:{_PRONOUN}|\p{{Lu}})")
_MAIN_CLAUSE = regex.compile(rf"\s*(?:{_PRONOUN}|{_ARTICLE}|\p{{Lu}}|{_VERB})")
_PREPOSITION = regex.compile(r"\s*(?:(?i:in|at|on|under|by|zu|auf|unter|en|sous|bajo|em|sob|op|onder)\s+)?")
_WORD = regex.compile(r"\w")
_INSERTED = "([—–-"


class _Start(Enum):
    """How a phrase begins."""

    OWN = auto()  # a statement of its own
    ASIDE = auto()  # a subordinate clause or an insertion
    ON = auto()  # it may go on with what stands before it


@dataclass(slots=True)
class _Denial:
    """A negation whose statement has not ended yet.

    Args:
        phrase: The number of the phrase that has it.
        verb: Its verb was there, so that what follows is no part of its subject.
        content: A clause that is denied as a whole follows.
        whole: The verb was there, and something behind it.
    """

    phrase: int
    verb: bool
    content: bool
    whole: bool


def negations(text: str, start: int, end: int) -> list[Border]:
    """Find the negations in a sentence or a phrase, but those in brackets, quotations and code.

    Args:
        text: Any text.
        start: First character.
        end: One past the last character.

    Returns:
        Where they begin, ascending, each with its match.
    """
    maybe = _MAYBE.search(text, start, end)
    if maybe is None and _OTHERS.search(text, max(start - 1, 0), end) is None:
        return []
    found = [(match.start(), match) for match in _NEGATION.finditer(text, start, end)]
    if not found:
        return []
    verb = _VERB_OR_RELATIVE.search(text, start, end)
    first = verb.start() if verb else end
    found = [one for one in found if one[1]["late"] is None or one[0] < first]
    return list(outside_shields(text, start, end, found))


def ungoverned(text: str, start: int, end: int, borders: Sequence[Border]) -> list[int]:
    """Leave out the phrase borders behind which a piece of a sentence would say the opposite.

    Args:
        text: Any text.
        start: First character of the sentence.
        end: One past its last character.
        borders: Where its phrases meet, ascending, each with the match that found it.
    """
    places = [border for border, _ in borders]
    denied = negations(text, start, end) if places else []
    if not denied:
        return places
    return _Sentence(text, [start, *places, end], [match.lastgroup or "" for _, match in borders], denied).standing()


class _Sentence:
    """The phrases of a sentence with a negation, read from left to right."""

    def __init__(self, text: str, edges: Sequence[int], marks: Sequence[str], denied: Sequence[Border]) -> None:
        self._text, self._edges, self._marks = text, edges, marks
        self._denied = denied
        self._steps = [0] * (len(edges) + 1)  # up where a range of borders that fall begins, down behind it
        self._statement = 0  # the phrase with which the statement began that is being read
        self._denial: _Denial | None = None  # in this statement
        self._interrupted: _Denial | None = None  # in the statement before, if that may go on behind this one
        self._first: _Denial | None = None  # the first one in the sentence that is open
        self._before = _Start.OWN

    def standing(self) -> list[int]:
        """List the borders that stand."""
        asked = 0
        for phrase in range(len(self._edges) - 1):
            end = self._edges[phrase + 1]
            found = asked
            while found < len(self._denied) and self._denied[found][0] < end:
                found += 1
            self._read(phrase, self._denied[asked:found])
            asked = found
        falls = list(accumulate(self._steps))
        return [edge for place, edge in enumerate(self._edges[1:-1], 1) if not falls[place]]

    def _read(self, phrase: int, denied: Sequence[Border]) -> None:
        start = self._start(phrase) if phrase else _Start.OWN
        if start is _Start.OWN:
            self._interrupted = self._denial if phrase and self._text[self._edges[phrase] - 1] == "," else None
            self._statement, self._denial = phrase, None
        elif start is _Start.ON:
            self._go_on(phrase, denied)
        if denied and self._denial is None and not self._is_bracketed(phrase):
            self._denial = self._opened(phrase, denied[0][1])
            self._first = self._first or self._denial
        self._before = start

    def _go_on(self, phrase: int, denied: Sequence[Border]) -> None:
        """Let the borders fall between a negation and a phrase that goes on with its statement."""
        low, high = self._range(phrase)
        resumes = _VERB_FIRST.match(self._text, low, high) is not None
        denial = self._denial or (self._interrupted if phrase == self._statement + 1 else None)
        denial = self._first if resumes else denial
        if denial is not None and self._has_ended(denial, phrase, resumes=resumes):
            self._first = self._denial = None
        elif denial is not None:
            self._fall(denial.phrase + 1, phrase)
            denial.verb |= resumes
            denial.content |= _CONTENT.search(self._text, low, high) is not None
            self._denial = denial
        elif denied and phrase > self._statement + 1 and self._begins_denied(phrase, denied[0]):
            self._fall(self._statement + 1, phrase)  # "pays fines, as a rule, not at all"

    def _has_ended(self, denial: _Denial, phrase: int, *, resumes: bool) -> bool:
        """Say whether a negation is that of a clause between commas, before a phrase: ", which is not sealed,"."""
        if self._before is not _Start.ASIDE or denial is not self._first or denial.phrase != phrase - 1:
            return False
        return denial.whole and (resumes or _SUBJECT_FIRST.match(self._text, *self._range(phrase)) is not None)

    def _fall(self, first: int, last: int) -> None:
        self._steps[first] += 1
        self._steps[last + 1] -= 1

    def _start(self, phrase: int) -> _Start:
        text, (low, high) = self._text, self._range(phrase)
        mark, denial = self._marks[phrase - 1], self._denial
        if mark in ("open", "close"):
            return _Start.ASIDE if mark == "open" else _Start.ON
        own = _Start.ASIDE if text[low - 1] in _INSERTED else _Start.OWN
        if _TURN.match(text, low, high):
            return own if denial is None or denial.verb else _Start.ASIDE
        if self._is_fronted(phrase - 1) and _MAIN_CLAUSE.match(text, low, high):
            return _Start.OWN
        joined = _AND_SAYS.match(text, low, high)
        if denial is None or (denial.verb and not denial.content):
            if joined or _SAYS.match(text, low, high):
                return own
        elif joined and joined["pronoun"] and not denial.content:
            return _Start.ASIDE
        aside = _CONTRAST if mark == "word" else _ASIDE
        return _Start.ASIDE if aside.match(text, low, high) else _Start.ON

    def _is_fronted(self, phrase: int) -> bool:
        """Say whether a statement begins with a phrase that is a subordinate clause."""
        return phrase == self._statement and _FRONTED.match(self._text, *self._range(phrase)) is not None

    def _opened(self, phrase: int, negation: regex.Match[str]) -> _Denial:
        text, (low, high) = self._text, self._range(phrase)
        found = _VERB_OR_RELATIVE.search(text, negation.end(), high)
        behind = found is not None and found["verb"] is not None
        verb = behind or negation["verb"] is not None or _VERB_BEFORE.match(text, low, negation.start()) is not None
        said = found.end() if found and behind else negation.end()
        content = _CONTENT.search(text, negation.end(), high) is not None
        return _Denial(phrase, verb, content, whole=verb and _WORD.search(text, said, high) is not None)

    def _is_bracketed(self, phrase: int) -> bool:
        """Say whether a phrase is all that stands in a bracket."""
        return phrase > 0 and self._marks[phrase - 1] == "open" and self._marks[phrase : phrase + 1] == ["close"]

    def _begins_denied(self, phrase: int, negation: Border) -> bool:
        """Say whether a phrase begins with a negation, or with a preposition before one: "in no case"."""
        match = _PREPOSITION.match(self._text, *self._range(phrase))
        return negation[1]["late"] is None and match is not None and negation[0] <= match.end()

    def _range(self, phrase: int) -> tuple[int, int]:
        return self._edges[phrase], self._edges[phrase + 1]
