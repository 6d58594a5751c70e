"""Hits with their evidence marked, as HTML: no script, nothing loaded from elsewhere, all escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fgr_retriever.types import Context, Hit, Span

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


def saving(before: int | None, after: int | None) -> str:
    """Say how many tokens trimming saves."""
    if before is None or after is None:
        return "Tokens were not counted"
    share = f" ({after / before - 1:+.0%})" if before else ""
    return f"{before} tokens before, {after} after trimming{share}"


def score_text(hit: Hit) -> str:
    """Say what ranks a hit, and, where several stages scored it, what each gave it."""
    each = ", ".join(f"{kind} {_number(score)}" for kind, score in hit.scores.items())
    return f"score {_number(hit.score)}" + (f" ({each})" if len(hit.scores) > 1 else "")


def hit_html(hit: Hit) -> str:
    """Write one hit with its evidence spans marked, as a fragment with its own style."""
    return _fragment(_article(hit, hit.spans, score_text(hit)))


def context_html(context: Context) -> str:
    """Write all hits of a context with what was kept of them marked, as a fragment with its own style."""
    return _fragment(_body(context))


def page(context: Context) -> str:
    """Write the hits of a context as an HTML page."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_text(context.query)}</title>
<style>{_STYLE}{_PAGE_STYLE}</style>
</head>
<body>
<main class="fgr">
{_body(context)}
</main>
</body>
</html>
"""


def _fragment(body: str) -> str:
    return f'<style>{_STYLE}</style>\n<div class="fgr">\n{body}\n</div>'


def _body(context: Context) -> str:
    articles = [
        _article(hit, trimmed.spans, f"{score_text(hit)}, kept {trimmed.kept:.0%}")
        for hit, trimmed in zip(context.hits, context.trimmed, strict=True)
    ]
    facts = f"{saving(context.tokens_before, context.tokens_after)}. Marked: evidence and its probability."
    missing = ", ".join(context.report.uncovered)
    warning = f'\n<p class="facts" dir="auto">Nothing supports: {_text(missing)}</p>' if missing else ""
    hits = "\n".join(articles) or "<p>No passage found.</p>"
    return f'<h1 dir="auto">{_text(context.query)}</h1>\n<p class="facts">{facts}</p>{warning}\n{hits}'


def _number(score: float) -> str:
    """Write a score so that those of reciprocal ranks and of cross-encoders can be told apart."""
    return f"{score:.2f}" if abs(score) >= 1 else f"{score:.4f}"


def _article(hit: Hit, spans: Sequence[Span], facts: str) -> str:
    return f"""<article>
<h2>{hit.rank}. <bdi>{_text(hit.passage.id)}</bdi></h2>
<p class="facts">{_text(facts)}</p>
<div class="text" dir="auto">{_marked(hit.passage.text, spans)}</div>
</article>"""


def _marked(text: str, spans: Sequence[Span]) -> str:
    return "".join(_text(piece) if score is None else _mark(piece, score) for piece, score in pieces(text, spans))


def _mark(piece: str, score: float) -> str:
    heat = 0.15 + 0.45 * score
    return f'<mark style="--p: {heat:.2f}">{_text(piece)}<small>{score:.0%}</small></mark>'


def _text(text: str) -> str:
    return escape(printable(text))
