"""Sections begin at marked headings; those that are built alike tell the same of different things."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fgr_retriever.text.query_words import content_stems
from fgr_retriever.text.sections import are_alike, named_apart, sections

PLAN = "## {name}\n\nFor {n} visits a year. The monthly fee is {n}5 EUR. The response time is {n} hours."
PLANS = "# Service plans\n\n" + "\n\n".join(PLAN.format(name=name, n=n) for name, n in (("Gold", 8), ("Silver", 4)))
HANDBOOK = (
    "# Handbook\n\n## Holidays\n\nStaff have 26 days off, of which ten may be kept for a later year.\n\n## Travel\n\n"
    "Hotels cost up to 145 euros; trains come before planes.\n\n## Meals\n\nLunch is served at noon in building C."
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A\n\nx\n\n## B\n\ny\n\n# C\n\nz", [(1, "A", "x\n\n## B\n\ny"), (2, "B", "y"), (1, "C", "z")]),
        ("A\n===\n\nx\n\nB 2\n-----\ny", [(1, "A", "x\n\nB 2\n-----\ny"), (2, "B 2", "y")]),
        ("== A ==\nx\n=== B ===\ny", [(2, "A", "x\n=== B ===\ny"), (3, "B", "y")]),
        ("**Rates for zone 3:**\n\nx", [(8, "Rates for zone 3", "x")]),
        ("[server]\nport = 1\n\n[client]\nport = 2", [(9, "server", "port = 1"), (9, "client", "port = 2")]),
        ("\\section{A}\nx\n\\subsection{B}\ny", [(3, "A", "x\n\\subsection{B}\ny"), (4, "B", "y")]),
        ("## A ##\r\n\r\nx\r\n", [(2, "A", "x")]),
        ("# A\n\n# B\n\nx", [(1, "B", "x")]),  # nothing stands below A
        ("Only prose, #1 and **bold** words.\n\na | b\n---|---\n1 | 2\n\nText\n\n---\n\nmore", []),
        ('["a", "b"]\nx', []),
        ("# A\n\n```sh\n# run it\nrun\n```\n\n~~~\n# B\n~~~", [(1, "A", "```sh\n# run it\nrun\n```\n\n~~~\n# B\n~~~")]),
    ],
)
def test_sections_and_what_stands_below_them(text, expected):
    assert [(one.level, one.name, text[one.body : one.close]) for one in sections(text)] == expected


@given(st.lists(st.sampled_from(["# A", "## B", "text", "", "B\n---", "**C**", "[d]", "=== E ===", "\\section{F}"])))
def test_sections_follow_each_other_or_lie_in_one_another(lines):
    text = "\n".join(lines)
    found = sections(text)
    assert all(one.start < one.end <= one.body < one.close <= len(text) for one in found)
    assert all(one.start < other.start for one, other in pairwise(found))
    for one in found:
        assert not text[one.body].isspace()
        assert not text[one.close - 1].isspace()
        for other in found:
            assert other.start >= one.close or other.start <= one.start or other.close <= one.close


def test_sections_that_tell_the_same_of_different_things_are_alike():
    assert [
        [one.name for one in group] for group in named_apart(PLANS, sections(PLANS), content_stems("the fee of Gold?"))
    ] == [["Gold", "Silver"]]
    assert named_apart(PLANS, sections(PLANS), content_stems("What is the fee?")) == []
    assert named_apart(HANDBOOK, sections(HANDBOOK), content_stems("How many days off are holidays?")) == []
    assert not are_alike([PLANS])
    assert not are_alike(["", ""])


def test_no_group_lies_in_another_one():
    text = "\n\n".join(
        f"# {city}\n\n"
        + "\n\n".join(PLAN.format(name=f"{name} of {city}", n=n) for name, n in (("Gold", 8), ("Silver", 4)))
        for city in ("Oslo", "Turin")
    )
    (group,) = named_apart(text, sections(text), content_stems("the fee of Gold in Oslo"))
    assert [one.name for one in group] == ["Oslo", "Turin"]
