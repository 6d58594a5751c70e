"""A page with the hits of a search: one file, no script, nothing loaded from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from fgr_retriever.cli.highlight import pieces, saving
from fgr_retriever.cli.output import printable
from fgr_retriever.types import Context, Hit, Span, Trimmed

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1f; --paper: #fdfdfb; --soft: #5c5c66;
  --line: #d9d9de; --heat: 255 196 0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ececf1; --paper: #17171b; --soft: #a5a5b0; --line: #3a3a42; --heat: 214 150 0; }
}
body { margin: 2rem auto; max-width: 46rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.6 system-ui, sans-serif; }
h1 { font-size: 1.4rem; } h2 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
.facts { color: var(--soft); font-size: .875rem; margin: 0; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0 0; }
mark { color: inherit; background: rgb(var(--heat) / var(--p)); border-bottom: 2px solid currentColor;
  border-radius: .15em; padding: .05em .1em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
mark small { color: inherit; user-select: none; margin-inline-start: .3em; }
"""


def page(context: Context) -> str:
    """Write the hits of a search as an HTML page; everything from outside is escaped."""
    query = _text(context.query)
    hits = "\n".join(map(_article, context.hits, context.trimmed)) or "<p>No passage found.</p>"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{query}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1 dir="auto">{query}</h1>
<p class="facts">{saving(context.tokens_before, context.tokens_after)}. Marked: evidence and its probability.</p>
{hits}
</main>
</body>
</html>
"""


def _article(hit: Hit, trimmed: Trimmed) -> str:
    return f"""<article>
<h2>{hit.rank}. <bdi>{_text(hit.passage.id)}</bdi></h2>
<p class="facts">score {hit.score:.2f}, kept {trimmed.kept:.0%}</p>
<div class="text" dir="auto">{_marked(hit.passage.text, trimmed.spans)}</div>
</article>"""


def _marked(text: str, spans: Sequence[Span]) -> str:
    return "".join(_text(piece) if score is None else _mark(piece, score) for piece, score in pieces(text, spans))


def _mark(piece: str, score: float) -> str:
    heat = 0.15 + 0.45 * score
    return f'<mark style="--p: {heat:.2f}">{_text(piece)}<small>{score:.0%}</small></mark>'


def _text(text: str) -> str:
    return escape(printable(text))
