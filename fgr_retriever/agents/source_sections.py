"""The sections of sources that are built alike: of each, nothing but its heading says what a number in it is about."""

from __future__ import annotations

from collections import defaultdict

from fgr_retriever.agents.source_rows import Row
from fgr_retriever.text.sections import Section, are_alike, sections
from fgr_retriever.text.tables import tables


def without_sections(text: str) -> tuple[str, list[list[Row]]]:
    """Take sections that are built alike out of a text, those of each level as the rows of a table.

    What stands below one heading in several places is one row.

    Args:
        text: What was kept of a source.
    """
    if tables(text):  # whose rows tell more
        return text, []
    levels: dict[int, list[Section]] = defaultdict(list)
    for one in sections(text):
        levels[one.level].append(one)
    for found in levels.values():
        bodies: dict[str, list[str]] = defaultdict(list)
        for one in found:
            bodies[one.name].append(text[one.body : one.close])
        if are_alike([f"{name}\n{' '.join(parts)}" for name, parts in bodies.items()]):
            rows = [Row([name, "\n\n".join(parts)]) for name, parts in bodies.items()]
            return _outside(text, found), [rows]
    return text, []


def heading_above(text: str, place: int) -> str:
    """Give the heading of the innermost section that holds a place, as it is written; empty if there is none."""
    above = [one for one in sections(text) if one.body <= place < one.close]
    return text[above[-1].start : above[-1].end] if above else ""


def _outside(text: str, found: list[Section]) -> str:
    """Leave sections out."""
    parts, place = [], 0
    for one in found:
        parts.append(text[place : one.start])
        place = one.close
    return "".join([*parts, text[place:]])
