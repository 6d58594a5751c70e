"""A passage with its evidence marked, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from fgr_retriever.evidence.hit import score_text
from fgr_retriever.text.html import pieces, printable
from fgr_retriever.trim.context import Context, saving
from fgr_retriever.types import Span

_AROUND = 160
_HEAT = ((0.75, "bold black on bright_yellow"), (0.5, "black on yellow"), (0.0, "underline"))


def highlight(text: str, spans: Sequence[Span], *, styled: bool) -> Text:
    """Mark the evidence of a passage by its probability; long stretches between are shortened.

    Args:
        text: The passage.
        spans: Its evidence, ascending and disjoint.
        styled: Mark by colour; else with ** around.
    """
    shown = Text()
    for piece, score in pieces(printable(text), spans):
        if score is None:
            shown.append(_shorten(piece), style="dim")
        elif styled:
            shown.append(piece, style=next(style for least, style in _HEAT if score >= least))
        else:
            shown.append(f"**{piece}**")
    return shown


def show(console: Console, context: Context) -> None:
    """Print the hits of a search, evidence marked, and what trimming saves."""
    styled = console.color_system is not None and not console.no_color
    for hit, trimmed in zip(context.hits, context.trimmed, strict=True):
        head = Text(f"{hit.rank}. {printable(hit.passage.id)}", style="bold")
        facts = f"  {printable(score_text(hit))}, kept {trimmed.kept:.0%}"
        console.print(head.append(facts, style="not bold dim"))
        console.print(highlight(hit.passage.text, trimmed.spans, styled=styled))
        console.print()
    if not context.hits:
        console.print("No passage found.")
    console.print(Text(saving(context.tokens_before, context.tokens_after), style="italic"))


def _shorten(piece: str) -> str:
    return piece if len(piece) <= 2 * _AROUND else f"{piece[:_AROUND]} […] {piece[-_AROUND:]}"
