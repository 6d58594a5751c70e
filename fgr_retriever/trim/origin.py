"""Where a passage comes from: its source document, its place in it, and its title.

Frameworks keep this in the metadata, each under its own keys; this module knows all of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import Any

from fgr_retriever.text.query_words import stems
from fgr_retriever.types import Metadata, Passage

RESERVED_KEY = "_fgr"
"""Metadata key of a stored passage that belongs to the adapter which stored it."""

_SOURCE_KEYS = ("doc_id", "source", "file_path")
_PAGE_KEYS = ("page", "page_number", "page_label")  # loaders count characters from the top of the page
_HEADING_KEYS = tuple(f"Header {level}" for level in range(1, 7))  # as LangChain's splitters are shown to name them
_HEADING_PATH = "header_path"  # of LlamaIndex: "/Guide/Install/"
_BELOW = " > "  # between a file and the headings in it, as `fgr index` writes titles
_OWN_HEADING = re.compile(r"#{1,6} (.+)")
_PLACE_KEYS = (("start_index", "end_index"), ("start_char_idx", "end_char_idx"))
# UUIDs, ULIDs and hashes, with the ending of a file: no reader knows anything by them, and each costs some 25 tokens.
_MADE_BY_MACHINE = re.compile(
    r"(?:(?:urn:uuid:)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b0[0-9a-hjkmnp-tv-z]{25}\b|[0-9a-f]{16,})"
    r"(?:\.[a-z]\w{0,4}$)?",
    re.IGNORECASE,
)
_SOURCE_RELATIONSHIP, _PARENT_RELATIONSHIP = "1", "4"  # of LlamaIndex: the nodes that this one was cut from


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a passage comes from, as far as its metadata tells.

    Args:
        id: Id of the passage.
        title: Title of its source for a citation, on one line; empty if nothing tells a reader what it is.
        source: Name of the source document, and of the page in it; None if the metadata has no name.
        start: Position at which the passage begins in the source (in the page, if there is one); None
            if it is unknown, or if the passage is no longer in one piece.
    """

    id: str = ""
    title: str = ""
    source: tuple[str, ...] | None = None
    start: int | None = None

    @classmethod
    def of(cls, passage: Passage) -> Origin:
        """Read the metadata of a passage.

        The source is LlamaIndex's source node, or else the metadata `doc_id`, `source` or
        `file_path`; the start is `start_index` or `start_char_idx`, if it can be true; the title is
        `title`, or else the first of these that is not only a UUID, ULID or hash: `file_name`, the last part of
        `source` or `file_path`; and behind it the headings, such as "plans.md > Gold > Platinum". If there is nothing
        of all this, it is the passage's id.
        """
        metadata = passage.metadata
        stored = _mapping(metadata.get(RESERVED_KEY))
        name = _source_node(stored) or _first_text(metadata, _SOURCE_KEYS)
        pages = [f"{key} {metadata[key]}" for key in _PAGE_KEYS if key in metadata]
        start = None if "fgr_spans" in metadata else _start(stored, metadata, passage.text)
        return cls(passage.id, " ".join(_title(passage).split()), (name, *pages) if name else None, start)

    @property
    def name(self) -> tuple[str, ...] | None:
        """What tells the source from others: its name, or else its title; None if the metadata has neither."""
        return self.source or ((self.title,) if self.title not in ("", " ".join(self.id.split())) else None)

    def names(self, words: Set[str]) -> int:
        """Count how many of some stems (see `content_stems`) the title and the name of the source have."""
        said = " ".join((self.title, *(self.source or ()))) if self.name else ""
        return len(words & set(stems(said.replace("_", " "))))


def _title(passage: Passage) -> str:
    """Give what tells a reader the most about where a passage comes from, or nothing."""
    metadata = passage.metadata
    files = _first_text(metadata, ("file_name",)), _last_part(_first_text(metadata, _SOURCE_KEYS[1:]))
    name = _first_text(metadata, ("title",)) or next(filter(_is_readable, files), "")
    known = name.split(_BELOW)
    above = [one for one in _headings(passage) if one not in known]
    return _BELOW.join(filter(None, (name, *above))) or (passage.id if _is_readable(passage.id) else "")


def common_title(titles: Sequence[str]) -> str:
    """Give the title of pieces of one source: what their titles have in common, at a heading; else the first."""
    levels = zip(*(title.split(_BELOW) for title in titles), strict=False)
    return _BELOW.join(level[0] for level in takewhile(lambda level: len(set(level)) == 1, levels)) or titles[0]


def _headings(passage: Passage) -> list[str]:
    """Give the headings above a passage, outermost first; LlamaIndex leaves out the one that the text begins with."""
    if path := _first_text(passage.metadata, (_HEADING_PATH,)):
        own = _OWN_HEADING.match(passage.text)
        found = [*path.split("/"), own[1] if own else ""]
    else:
        found = [_first_text(passage.metadata, (key,)) for key in _HEADING_KEYS]
    return [one for one in found if one.strip()]


def _is_readable(name: str) -> bool:
    """Say whether a name is more than ids of machines, such as "0b9f5f6e-...#3"."""
    left = _MADE_BY_MACHINE.sub("", name)
    return bool(name.strip()) and (left == name or any(map(str.isalpha, left)))


def _source_node(stored: Mapping[str, Any]) -> str:
    """Give the id of the LlamaIndex node that a stored node was cut from, or nothing."""
    return _first_text(_mapping(_relationships(stored).get(_SOURCE_RELATIONSHIP)), ("node_id",))


def _start(stored: Mapping[str, Any], metadata: Metadata, text: str) -> int | None:
    """Give the place of a text in its source, unless it cannot be true.

    What is not found has -1 in LangChain. A LlamaIndex node with a parent counts from the parent, while
    its source is the document. And where the text was exchanged, the range has another length.
    """
    if _PARENT_RELATIONSHIP in _relationships(stored):
        return None
    given: list[tuple[Any, Any]] = [(stored.get("source_start"), _mapping(stored.get("node")).get("end_char_idx"))]
    given += [(metadata.get(first), metadata.get(last)) for first, last in _PLACE_KEYS]
    for start, end in given:
        if _is_place(start):
            return int(start) if not _is_place(end) or end - start == len(text) else None
    return None


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _relationships(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(stored.get("node")).get("relationships"))


def _first_text(values: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """Give the first of some values that is a string with something in it, or nothing."""
    found = (values.get(key) for key in keys)
    return next((one for one in found if isinstance(one, str) and one.strip()), "")


def _last_part(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).name


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
