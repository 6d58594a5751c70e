# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and word lists read best as text)
"""What a text has that is never evidence: front matter, page numbers, running heads, navigation, cookie notices."""

from __future__ import annotations

from collections import Counter

import regex

_FRONT_MATTER = regex.compile(
    r"\s*(?:(?P<mark>---|\+\+\+)[^\S\n]*\r?\n(?:[^\n]*\n){1,80}?(?P=mark)[^\S\n]*(?:\r?\n|$)"
    r"|(?:\#\+[A-Za-z_]+:[^\n]*(?:\n|$))+)"
)
_FIELD = regex.compile(r"[\w\-\"' ]{1,40}(?::(?:\s|$)|\s*=)|\s|\#|-\s|[\]}]")
_PAGE_NUMBER = regex.compile(
    r"[\s\f]*(?:[-–—][ ]*\d{1,4}[ ]*[-–—]|(?i:page|seite|página|pagina|pág\.|p\.|s\.)[ ]*"
    r"\d{1,4}(?:[ ]*(?:of|von|de|di|sur|/)[ ]*\d{1,4})?"
    r"|\d{1,4}[ ]*/[ ]*\d{1,4})\s*$",
)
_BARE_NUMBER = regex.compile(r"\s*(?:\d{1,4}|[ivxl]{1,6})\s*$")
_COMMON_LINE = regex.compile(
    r"(?i)\s*(?:skip to (?:main )?content|search|log ?in|sign (?:in|up)|menu|subscribe|print|advertisement"
    r"|cookie settings|share(?: (?:on|this|via)\b.{0,30})?|follow us.{0,30}|back to top|table of contents"
    r"|was this (?:page|article) helpful.{0,20}"
    r"|(?:«|‹|←)?[ ]?(?:previous|prev|zurück|précédent|anterior).{0,10}(?:next|weiter|suivant|siguiente).{0,4}"
    r"|read more|all rights reserved\.?|(?:©|\(c\)|copyright)[ ].{0,80}"
    r"|(?:home|start|startseite|accueil|inicio|início)(?:[ ]*[|>›»/·•][ ]*[\w &.'’-]{1,30}){1,12})\s*$"
)
# The first letters of these lines, without case, and the marks.
COMMON_STARTS = frozenset(
    "ski sea log sig men sub pri adv coo sha fol bac tab was pre zur pré ant rea all cop hom sta acc ini iní".split()
)
_BEGUN = 3
_COMMON_MARKS, _DASHES = frozenset("«‹←©("), frozenset("-–—")
_COOKIES = regex.compile(
    r"(?i)(?:use|uses|using|accept|manage|consent|nutzt|verwende[nt]|utilis|utiliza).{0,60}\bcookies?\b|\bcookies?\b.{0,80}(?:accept|agree|consent|reject)"
)
_LONGEST = 100
_LONGEST_NOTICE = 400
_LONGEST_HEAD = 70


def front_matter_end(text: str) -> int:
    """Find where the front matter of a text ends, 0 if it has none."""
    if text.lstrip()[:1] not in ("-", "+", "#"):
        return 0
    match = _FRONT_MATTER.match(text)
    if match is None:
        return 0
    fields = match.group().strip().split("\n")
    return match.end() if match["mark"] is None or all(map(_FIELD.match, filter(str.strip, fields[1:-1]))) else 0


def is_boilerplate(line: str) -> bool:
    """Say whether a line belongs to the page and not to its text: navigation, a cookie notice, a page number."""
    if len(line) <= _LONGEST:
        bare = line.strip()
        begun = bare[:_BEGUN].lower()
        if (begun in COMMON_STARTS or begun[:1] in _COMMON_MARKS) and _COMMON_LINE.match(line):
            return True
        if (bare[-1:].isdigit() or bare[-1:] in _DASHES) and _PAGE_NUMBER.match(line):
            return True
    return len(line) <= _LONGEST_NOTICE and "ookie" in line and _COOKIES.search(line) is not None


def is_number(line: str) -> bool:
    """Say whether a line has only a number, as pages do."""
    return _BARE_NUMBER.match(line.strip("\f")) is not None


def running_heads(text: str) -> frozenset[str]:
    """Find the first lines of pages that occur on more than one page, without the white space around them."""
    if "\f" not in text:
        return frozenset()
    firsts = (page.lstrip("\f\r\n ")[:_LONGEST_HEAD].partition("\n")[0].strip() for page in text.split("\f"))
    counted = Counter(one for one in firsts if one)
    return frozenset(one for one, count in counted.items() if count > 1)
