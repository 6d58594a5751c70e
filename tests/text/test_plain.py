import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fgr_retriever.text.atoms import is_table_row
from fgr_retriever.text.blocks import paragraphs
from fgr_retriever.text.furniture import COMMON_STARTS, is_boilerplate, is_number
from fgr_retriever.text.latex import latex_kind
from fgr_retriever.text.lines import (
    CODE_WORDS,
    FENCE,
    begins_block,
    is_code,
    is_code_line,
    is_comment,
    is_heading,
    is_question,
    is_rule,
)
from fgr_retriever.text.paragraph import paragraph_pieces
from fgr_retriever.text.plain import is_plain, is_title
from fgr_retriever.text.records import records
from fgr_retriever.text.rows import csv_rows
from tests.text.marked_cuts import marked_texts

STARTS = [
    *sorted(CODE_WORDS | COMMON_STARTS),
    "a.",
    "iv)",
    "B)",
    "12.",
    "1.1",
    "xi",
    "ERROR",
    "1700000000",
    "Caused by",
]
WORDS = ["word", "I", "1,5", "(b)", "f(x)", "a-b", "- x", "-x", "x = 1", "cookies", "\\a", "|", "\t", "[a]", "-->", "?"]
ENDS = [
    ".",
    "…",
    "!",
    "?",
    ",",
    ";",
    ")",
    "):",
    "}",
    "a",
    "Z",
    "é",
    "7",
    "_",
    "*",
    "-",
    "”",
    '"',
    " ",
    "\x1c",
    "\u0301",
]
lines = st.tuples(
    st.sampled_from(STARTS) | st.text("aB1²\f\u0301 #>-Q.", max_size=3),
    st.lists(st.sampled_from(WORDS), max_size=3).map(" ".join),
    st.sampled_from(ENDS),
).map(lambda parts: " ".join(parts[:2]) + parts[2])
marked_lines = sorted({line for one in marked_texts() for line in one.text.splitlines() if line.strip()})


def rules(line: str) -> list[str]:
    """Name the rules about lines that hold."""
    told = {
        "row": is_table_row(line),
        "furniture": is_boilerplate(line) or is_number(line),
        "latex": latex_kind(line),
        "code": is_code(line) or is_code_line(line),
        "comment": is_comment(line),
        "fence": FENCE.match(line),
        "block": begins_block(line),
        "heading": is_heading(line),
        "question": is_question(line),
        "rule": is_rule(line),
    }
    return [name for name, holds in told.items() if holds]


@example("import os")
@example("xi")
@example("1700000000 started")
@example("ERROR 1700000000 started")
@example("sort -n names")
@example("name\tage\tcity")
@example("name | age | city of birth")
@given(lines | st.sampled_from(marked_lines))
def test_no_rule_about_lines_holds_for_a_plain_one(line):
    if is_plain(line, 0, len(line)):
        assert rules(line) == []


@example("goroutine 7 ran\nlate")
@example("Traceback (the last call\nran late")
@given(st.lists(lines | st.sampled_from(marked_lines), min_size=1, max_size=4).map("\n".join))
def test_a_plain_paragraph_may_only_be_separated_values(text):
    for run in paragraphs(text, 0):
        if is_plain(text, run[0][0], run[-1][1]):
            assert records(text, run) == csv_rows(text, run, text[slice(*run[0])])


@example("# ", "a | b | c")
@example("# ", "a\tb\tc")
@given(st.sampled_from(["# ", "## ", "###### ", "#", "#  - "]), lines | st.sampled_from(marked_lines))
def test_a_title_is_a_heading_and_no_record(mark, line):
    text = mark + line
    if is_title(text, 0, len(text)):
        assert (is_heading(text), records(text, [(0, len(text))])) == (True, None)
        assert [piece.kind for piece in paragraph_pieces(text, [(0, len(text))])] == ["head"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("The ferry leaves at noon.", True),
        ("1.1 Exclusions", True),
        ("He came (late), and she left", True),
        ("Oil\nChange it every year.", True),
        ("Oil\n\n---", False),
        ("1. Oil", False),
        ("Oil: change it.", False),
        ("Page", True),
        ("Page 7", False),
        ("from here on", False),
        ("We use cookies.", False),
    ],
)
def test_plain_lines(line, expected):
    assert is_plain(line, 0, len(line)) == expected
