"""Rows with blank lines in or between them; answers that come with their question."""

import pytest

from fgr_retriever.text.sentences import sentences
from fgr_retriever.text.tables import tables

BOILER = '1,Boiler,"It was replaced.\n\nThe old one leaked."'


def cut(text):
    return [text[slice(*one)] for one in sentences(text)]


def test_a_quoted_cell_may_hold_blank_lines():
    rows = ["id,title,body", BOILER, '2,Roof,"Two tiles are loose."', "3,Door,"]
    assert cut("\n".join(rows)) == rows
    assert cut("Our list.\n\n" + "\n".join(rows) + "\n\nThat is all.") == ["Our list.", *rows, "That is all."]


def test_a_stray_quotation_mark_joins_no_paragraphs():
    text = 'The screen, she says, is 12" wide.\n\nThe other, he says, is 10" wide.'
    assert cut(text) == text.split("\n\n")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_may_have_blank_lines_between_them(separator):
    rows = [
        one.replace("|", separator) for one in ["id|title|price", "1|Boiler|300", '2|"Roof, tiles; old"|20', "3|Door|"]
    ]
    text = "\n\n".join(rows)
    assert cut(text) == [row.strip() for row in rows]
    (table,) = tables(text)
    assert (text[table.start : table.end], text[table.body : table.close]) == (rows[0], text[len(rows[0]) + 2 :])


def test_short_paragraphs_with_as_many_commas_are_no_rows():
    text = "Well, yes, we do.\n\nNow, please, go. We wait.\n\nThen, later, come back."
    assert cut(text) == ["Well, yes, we do.", "Now, please, go.", "We wait.", "Then, later, come back."]


@pytest.mark.parametrize(
    "text",
    [
        "Q: May I pay by card?\nA: Yes. We take all.",
        "Q1. May I pay by card?\n\nYes, we take all.",
        "**May I pay by card?**\n\nYes, we take all.",
        "Frage: Nehmen Sie Karten?\nAntwort: Ja. Alle.",
        "### May I pay by card?\n\nYes, we take all.",
    ],
)
def test_an_answer_comes_with_its_question(text):
    assert cut(f"# Paying\n\nWe help.\n\n{text}\n\nAsk us more. We are here.")[1] == text


def test_a_question_of_a_speaker_stands_alone():
    assert cut("Ann: Is it far?\nBob: No, it is not.") == ["Ann: Is it far?", "Bob: No, it is not."]
