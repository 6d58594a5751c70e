# ruff: noqa: RUF001, SIM905 (the look-alike characters are meant, and a list of pieces reads best as text)
"""Repeated and nested texts on which a careless rule takes quadratic time."""

from __future__ import annotations

from collections.abc import Iterator

# What is repeated, separated by a character that no piece has.
_MARKS = (
    ",;:.!?'\"`|[](){}<>*_-+=/\\#@&%$^~\t\r\n\x00\x1c\x85\xa0"
    "\u2028\u2029\u3000，。、：；！？”’»」）—–…·‧।؟۔•\ufeff\u200b\u00ad\u2060\ufffd\ud800\udc00"
)
_LETTERS = "aAé1٣漢かก가ᄀक\u0301\u200d\u0600\u0903\N{ROBOT FACE}\N{EMOJI MODIFIER FITZPATRICK TYPE-4}"
_FLAGS = ("\N{REGIONAL INDICATOR SYMBOL LETTER D}", "\N{REGIONAL INDICATOR SYMBOL LETTER D}\u0301")
_RUNS = (
    "a.¦a. ¦a, ¦a ,¦a,¦,'¦, '¦,\"¦a' ¦A. ¦Dr. ¦1.¦1,¦1, ¦1 ¦a-¦a--¦a @¦a@a.¦a/¦//¦a://¦http://¦http://a.b "
    '¦www.¦mailto:¦[a]¦[a](¦[a](b)¦![¦[[a]¦](¦[1]¦.[1]¦."¦. )¦``¦`a`¦`a ¦a|¦|a¦a | ¦ | ¦| ¦|\n¦a|a\n¦\ta'
    "¦a\t\t¦ \t¦\t\n¦\n\n¦\r\n¦\n \n¦a\n¦A\n¦a.\n¦1. a\n¦- a\n¦- - ¦# a\n¦#\n¦---\n¦```\n¦```a\n¦~~~\n¦A: "
    "¦A B: ¦A B C D E ¦A (a): ¦[12:30] A: ¦12:30 ¦2020-01-01 10:00\n¦x = 1\n¦x = ¦import ¦import a\n¦and "
    "¦and a ¦, and ¦a and or but ¦a b c d and e f g ¦(a¦(a b c ¦(a b c) ¦( ¦ (a) ¦a) ¦(a,b) ¦a — ¦ - ¦ -- "
    "¦C++ ¦C# ¦f() ¦a[1]¦$1¦€ ¦5 % ¦U.S. ¦e.g. ¦...¦. . ¦?!¦。”¦，”¦é¦👨\u200d¦👨\u200d👩¦क्¦\u0600a¦a\u200d¦a\xad"
    '¦漢 ¦ก ¦a\x1c¦\x00a¦<p>¦&amp;¦<!--¦\\\\¦\\u¦{"a":¦[[¦]]¦(((¦)))¦1 - ¦A1 ¦(1) ¦+1 ¦a(a(¦{}¦();¦//a\n¦/* '
).split("¦")


# What records, headings, statements and page furniture are told by.
_STRUCTURED = (
    *(
        '"a",',
        '"a","b"\n',
        'a,"\n',
        '{"a": {\n',
        "[\n",
        "a:\n",
        " a:\n",
        "- a:\n",
        "[a]\n",
        "A\n\n",
        "1\n\n",
        "\fA\n\na\n\n",
    ),
    *(
        "<li>",
        "<dt>a</dt>",
        "<h1>a\n",
        "f(\n",
        "a = [\n",
        "a \\\n",
        ".a()\n",
        '"""\n',
        "// a\n",
        "SELECT a\n",
        "\\begin{equation}\n",
    ),
    *(
        "$a, ",
        "f(a, ",
        "“a, ",
        "If a, ",
        "no a, may ",
        "never, which a, ",
        "not that a and the b is c ",
        "nobody (a b c) ",
        "it is not, and he ",
        "except where a ",
        "not " * 50 + ", ",
        "A, ",
        "A and ",
        "para. 1 ",
        "z. B. ",
        "3. Mai ",
        "use cookies ",
        "Home | ",
        "---\na: b\n",
    ),
    *("00:00:01.000 --> ", "12:30 a\n", "  at a\n", "a --b ", "a that is "),
    *("Q: a?\nb\n\n", "radium;sea\n1;2\n\n\n", "| radium |\n|---|\n| sea |\n\n", "+--+\n| radium |\n+==+\n| sea |\n"),
)


def patterns() -> Iterator[tuple[str, str]]:
    """Yield pieces to repeat: what comes before the run, and the piece."""
    for piece in dict.fromkeys((*_MARKS, *_LETTERS, *_FLAGS, *_RUNS, *_STRUCTURED)):
        yield "", piece
    for before in ("a ", "(", "[", "`", "a | ", "http://", "```\n", "- ", "A: "):
        for piece in (",", ":", ".", "a ", "(", "\t", _FLAGS[0], "a|"):
            yield before, piece


def nested(opening: str, closing: str, size: int) -> str:
    """Give brackets in brackets."""
    depth = size // (len(opening) + len(closing))
    return opening * depth + closing * depth


NESTED = tuple(pair.split("¦") for pair in ("(¦)", "[¦]", "[a](¦)", "( a b c ¦) ", "“¦”", "`¦`", "{¦}", "(a, ¦), "))
