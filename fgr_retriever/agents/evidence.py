"""The evidence of a search in JSON-safe values: what a tool's artifact holds, and what citations are checked with."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class EvidenceSpan(TypedDict):
    """A verbatim piece of a passage.

    `start` and `end` are its character range in the passage. `source_start` and `source_end` are its
    character range in the document that the passage was cut from, or None if that is not known.
    `score` is its mean evidence probability; 0 if it was never measured.
    """

    passage: str
    start: int
    end: int
    source_start: int | None
    source_end: int | None
    score: float
    text: str


class EvidencePassage(TypedDict):
    """A passage whose text is in a source: its id and metadata."""

    id: str
    metadata: dict[str, Any]


class EvidenceSource(TypedDict):
    """The meaning of one number: a passage, or the chunks of one document.

    `title` is empty if nothing but a UUID, ULID or hash is known; the ids are in `passages`.
    `also_in` has the ids of passages of other sources that say a part of it word for word.
    """

    number: int
    title: str
    also_in: list[str]
    passages: list[EvidencePassage]
    spans: list[EvidenceSpan]


class NumberedSources(TypedDict):
    """What numbers stand for: the part of `Evidence` that citations are checked with."""

    sources: list[EvidenceSource]


class Evidence(NumberedSources):
    """The result of one search, in JSON-safe values.

    Two fields are signals to search again: `weak` (no passage has evidence above its threshold) and
    `uncovered` (words of the question that nothing supports). `note` says what is lacking in words; it
    is empty if nothing is. `report` is the trust report of the call.
    """

    query: str
    weak: bool
    uncovered: list[str]
    note: str
    report: dict[str, Any]
