# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and word lists read best as text)
"""What a line is, by itself: a heading, a rule, a list item, a labelled line, a log line, a line of code."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

import regex

Line: TypeAlias = tuple[int, int]
"""Where a line starts and ends in its text, without its line break."""


def matcher(pattern: str) -> Callable[[str], bool]:
    """Compile a pattern: of a line in ASCII `re` says the same as `regex`, in half the time."""
    quick, full = re.compile(pattern, re.ASCII), regex.compile(pattern)
    return lambda line: (quick if line.isascii() else full).match(line) is not None


FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
MARKER = regex.compile(
    r"[^\S\r\n]*(?:(?:[-*+•‣◦▪●–]|\(?(?:\d{1,3}|[a-z]|[ivx]{1,5})[.)]|\(?[A-Z]\))[^\S\r\n]+|\\item\b)"
)
HEADING = regex.compile(
    r"[ ]{0,3}\#{1,6}\s+\S|\*{2,6}[ ]+\S[^*]*$|={2,6}[ ]+[^\s=]|(={2,6})[^\s=].*[^\s=]\1\s*$"
    r"|\s*\\(?:part|chapter|(?:sub){0,2}section|(?:sub)?paragraph)\*?(?:\[[^\]]*\])?\{|\[[^\]\[,\"]{1,60}\]\s*$"
)
QUESTION = regex.compile(
    r"(?:\*\*)?(?:[QF][ ]?\d{0,3}|(?i:question|frage|pregunta|domanda|pergunta)[ ]?\d{0,3})[.:)]\**[ ].*\?(?:\*\*)?$"
    r"|(?:\*\*|__)[^*_]+\?(?:\*\*|__)$"
)
RULE = regex.compile(r"[^\S\r\n]*(?:[-=_*~^]{3,}|(?:[-_*][ ]){2,}[-_*]|\+[-=+]{3,}\+)\s*$")
COMMENT = regex.compile(r"\s*(?:\#(?!\#|\+)(?!!)|//|--[ ]|;|/\*|\*[ /]|%[ ]|<!--)")
# A speaker or a label with a colon: "[12:30] Ann Lee (chair): ...", "**Warranty:** ...".
TURN = regex.compile(
    r"\s*(?:[\[(]?\d{1,2}:\d{2}(?::\d{2})?[\])]?[ ]*)?\**"
    r"(?:[\p{Lu}\p{Lo}][\p{L}\p{M}\p{N}.'’_-]*(?:[ ]|(?=[:：*]))){1,4}"
    r"(?:\([^()\r\n]{1,30}\))?\**(?::\**\s|：)"
)
# A key with its value, of a sheet, an INI or a YAML file. `:` needs white space behind it, as in YAML.
KEY = regex.compile(
    r"(?P<indent>[^\S\r\n]*+(?:-[ ]+)?)"
    r"(?!(?:def|class|if|for|while|else|elif|try|except|finally|with|return|async|case|switch|do|https?)\b)"
    r"[\"'*]*[\p{L}_$@.\d](?:[\p{L}\p{M}\p{N}_.\-/()'’&@$]|[ ](?![ ]|=)){0,40}+[\"'*]*"
    r"(?:[ ]*=(?![=>])|[:：][\"'*]*(?:(?=[^\S\r\n])|$))(?P<value>.*)"
)
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_TIME = r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d{1,9})?)?"
_DATE = (
    rf"(?:\d{{4}}[-/.]\d\d[-/.]\d\d|\d{{1,2}}[-/.]\d{{1,2}}[-/.]\d{{2,4}}"
    rf"|(?:\p{{Lu}}[a-z]{{2}},?[ ])?{_MONTH}[ ]{{1,2}}\d{{1,2}}(?:,?[ ]\d{{4}})?|\d{{1,2}}[-/ ]{_MONTH}[-/ ]\d{{4}})"
)
STAMP = regex.compile(
    r"(?:<\d{1,3}>\d?[ ]?)?(?:\[?[A-Z]{4,8}\]?:?[ ]+)?[ ]{0,4}[\[(]?"
    rf"(?:{_DATE}[T ,:_-]{{1,3}}{_TIME}|{_TIME}(?=[\])\s])"
    rf"|[IWEFD]\d{{4}}[ ]{_TIME}|\d{{10}}(?:\d{{3}})?(?:\.\d{{1,9}})?(?=[\s:\]]))"
    rf"|[\w.:]{{2,60}}[ ]\S{{1,40}}[ ]\S{{1,40}}[ ]\[{_DATE}:"
)
CUE = regex.compile(r"\s*(?:\d{1,3}:)?\d{1,3}:\d\d[.,]\d{1,3}[ ]+-->[ ]")
TRACE = regex.compile(
    r"\s+at[ ]\S|\s+File[ ]\"|Caused by:|Traceback \(|\s+\.{3}[ ]\d+[ ]more|goroutine \d|\t\S+\.go:\d"
)
is_code_line = matcher(
    r".*(?:[{}]|[)\]}];|\):)\s*$|\s*[\w.\[\]]+\s*(?:[-+*/|&]?=|:=)\s*\S|\s*(?:import|from)\s+[\w.]+\s*$"
)
_begins_code = matcher(
    r"\s*(?:[\w.\[\]]+\s*(?:[-+*/|&]?=|:=)\s*\S|(?:import|from)\s+[\w.]+\s*(?:$|import\b)|@\w+(?:\(.*\))?\s*$|\#!/"
    r"|(?:def|class|async|func|fn|function|const|let|var|public|private|protected|static|export|package|using"
    r"|struct|enum|interface|impl|raise|throw|return|yield|await|elif|switch|case|try|except|catch|finally|\#include"
    r"|\#define)\b.*(?:[(){}:;=<\"'\]]|\w)\s*$"
    r"|(?:if|for|while|else|with|do)\b.*[:{]\s*$"
    r"|(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|WITH|FROM|WHERE|GROUP BY|ORDER BY|JOIN"
    r"|LEFT JOIN|VALUES|SET|HAVING|LIMIT|GRANT)\b"
    r"|\$[ ]|sudo[ ]|(?:\w+=\S*[ ])*[a-z][\w.\-]+(?:[ ]\S+)*[ ]-{1,2}[A-Za-z][\w\-]*\b.*$|set[ ]-"
    r"|[\w.]+\([^()]*\)\s*$|\"\"\"|\.\w+\()"
)
CODE_WORDS = frozenset(
    "import from def class async func fn function const let var public private protected static export package using "
    "struct enum interface impl raise throw return yield await elif switch case try except catch finally if for while "
    "else with do SELECT INSERT UPDATE DELETE CREATE ALTER DROP WITH FROM WHERE GROUP ORDER JOIN LEFT VALUES SET "
    "HAVING LIMIT GRANT sudo set".split()
)
_NO_CODE = frozenset("-*+•")
_LONGEST_CODE = 1_000  # characters of a line whose words are looked at: the pattern tries every place for an option
_COMMENT_MARKS = frozenset("#/-;*%<")
_LONGEST_MARK = 8  # characters; what begins with a letter or a digit has its stop or bracket in them
_CODE_END = regex.compile(r"(?r)(?:[{}]|[)\]}];|\):|;|[^\s\\][ ]\\)")  # of a line without white space behind it
_DIGIT = re.compile(r"\d")  # `re` and not `regex`: for what both can say it takes half the time
_STAMP_WITHIN = 130  # characters in which the first digit of a time stands
_HEADING_MARKS, _RULE_MARKS = tuple("#*=\\["), tuple("-=_*~^+")
_ENDS_PROSE = frozenset(".!?…。")
_ENDS_SENTENCE = ".!?…。！？؟۔।:;,，；："
_ENDS_QUESTION, _LONGEST_QUESTION = frozenset("?*_"), 200
_LONGEST_HEADING = 70
_MOST_HEADING_WORDS = 9


def is_code(line: str) -> bool:
    """Say whether a line looks like code."""
    bare = line.rstrip()
    last = bare[-1:]
    if last in _ENDS_PROSE:
        return False
    if last in "{};)\\:" and _CODE_END.match(bare):
        return True
    word = bare.split(None, 1)[0] if bare else ""
    # A pattern for code takes long to fail. Without these marks a line of words needs one of some words at its start.
    if word.isalpha() and word not in CODE_WORDS and not ("=" in bare or ")" in bare or " -" in bare):
        return False
    if word[:1] in _NO_CODE or len(bare) > _LONGEST_CODE:
        return False
    return _begins_code(line)


def marker(text: str, start: int, end: int) -> regex.Match[str] | None:
    """Match the mark of a list item, such as `-` or `2.`, at the start of a range of a text."""
    if text[start : start + 1].isalnum():
        head = text[start : start + _LONGEST_MARK]
        if "." not in head and ")" not in head:
            return None
    return MARKER.match(text, start, end)


def is_comment(line: str) -> bool:
    """Say whether a line is a comment of code."""
    return line.lstrip()[:1] in _COMMENT_MARKS and COMMENT.match(line) is not None


def is_stamped(line: str) -> bool:
    """Say whether a line begins with a time, as entries of a log and of a chat do."""
    return _DIGIT.search(line, 0, _STAMP_WITHIN) is not None and STAMP.match(line) is not None


def is_turn(line: str) -> bool:
    """Say whether a line begins with a speaker or a label and a colon."""
    return (":" in line or "：" in line) and TURN.match(line) is not None


def is_heading(line: str) -> bool:
    """Say whether a line is marked as a heading."""
    return line.lstrip()[:1] in _HEADING_MARKS and HEADING.match(line) is not None


def is_question(line: str) -> bool:
    """Say whether a line is marked as a question that the next lines answer: `Q: ...?`, `**...?**`."""
    bare = line.strip()
    return bare[-1:] in _ENDS_QUESTION and len(bare) <= _LONGEST_QUESTION and QUESTION.match(bare) is not None


def is_rule(line: str) -> bool:
    """Say whether a line is a rule, such as the one below a heading."""
    bare = line.strip()
    return bare[:1] in _RULE_MARKS and bare[-1] in _RULE_MARKS and RULE.match(line) is not None


def begins_block(line: str) -> bool:
    """Say whether a line begins a list item, a speaker turn or a log entry."""
    return marker(line, 0, len(line)) is not None or is_turn(line) or is_stamped(line)


def is_plain_heading(line: str) -> bool:
    """Say whether a line that stands between blank lines is a heading: short, without a stop, begun in capitals."""
    bare = line.strip()
    return (
        len(bare) <= _LONGEST_HEADING
        and bare[-1:] not in _ENDS_SENTENCE
        and (bare[:1].isupper() or bare[:1].isdigit() or bare[:1] == "§")
        and any(map(str.isalpha, bare))
        and bare.count(" ") < _MOST_HEADING_WORDS
        and "|" not in bare
        and "\t" not in bare
    )
