"""Texts with ranges marked, as HTML: no script, nothing loaded from elsewhere, all escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape

from fgr_retriever.types import Span

# Control characters steer a terminal, bidirectional marks reorder it, lone surrogates cannot be written.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

_STYLE = """
.fgr { color-scheme: light dark; --ink: #1b1b1f; --paper: #fdfdfb; --soft: #5c5c66; --line: #d9d9de;
  --heat: 255 196 0; color: var(--ink); background: var(--paper); font: 1rem/1.6 system-ui, sans-serif;
  max-width: 46rem; padding: .25rem 1rem; }
@media (prefers-color-scheme: dark) {
  .fgr { --ink: #ececf1; --paper: #17171b; --soft: #a5a5b0; --line: #3a3a42; --heat: 214 150 0; }
}
.fgr h1 { font-size: 1.4rem; margin: .5rem 0; }
.fgr h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
.fgr article { border-top: 1px solid var(--line); padding: 1rem 0; }
.fgr .facts { color: var(--soft); font-size: .875rem; margin: 0; }
.fgr .text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0; }
.fgr mark { color: inherit; background: rgb(var(--heat) / var(--p)); border-bottom: 2px solid currentColor;
  border-radius: .15em; padding: .05em .1em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.fgr mark small { color: inherit; user-select: none; margin-inline-start: .3em; }
"""
_PAGE_STYLE = """
:root { color-scheme: light dark; } body { margin: 2rem 0; background: #fdfdfb; } .fgr { margin: 0 auto; }
@media (prefers-color-scheme: dark) { body { background: #17171b; } }
"""


def printable(text: str) -> str:
    """Replace each character that must not reach a terminal or a page; the length stays."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", " \n"))


def pieces(text: str, spans: Sequence[Span]) -> Iterator[tuple[str, float | None]]:
    """Cut a text at its spans.

    Args:
        text: The passage.
        spans: Its evidence, ascending and disjoint.

    Yields:
        Non-empty pieces that together are the text, each with its evidence probability or None.
    """
    end = 0
    for span in spans:
        if end < span.start:
            yield text[end : span.start], None
        yield text[span.start : span.end], span.score
        end = span.end
    if end < len(text):
        yield text[end:], None


def article(title: str, facts: str, text: str, spans: Sequence[Span]) -> str:
    """Write a text with its spans marked, under a title and a line of facts; give it to `fragment` or `document`."""
    return f"""<article>
<h2>{title}</h2>
<p class="facts">{escaped(facts)}</p>
<div class="text" dir="auto">{_marked(text, spans)}</div>
</article>"""


def fragment(body: str) -> str:
    """Wrap HTML that this module wrote as a fragment with its own style."""
    return f'<style>{_STYLE}</style>\n<div class="fgr">\n{body}\n</div>'


def document(title: str, body: str) -> str:
    """Wrap HTML that this module wrote as a page of its own."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escaped(title)}</title>
<style>{_STYLE}{_PAGE_STYLE}</style>
</head>
<body>
<main class="fgr">
{body}
</main>
</body>
</html>
"""


def escaped(text: str) -> str:
    """Write any text so that it is safe in HTML."""
    return escape(printable(text))


def _marked(text: str, spans: Sequence[Span]) -> str:
    return "".join(escaped(piece) if score is None else _mark(piece, score) for piece, score in pieces(text, spans))


def _mark(piece: str, score: float) -> str:
    heat = 0.15 + 0.45 * score
    return f'<mark style="--p: {heat:.2f}">{escaped(piece)}<small>{score:.0%}</small></mark>'
