"""Full stops of abbreviations and numbers, in six languages and five genres: see `sentence_borders`."""

import pytest

from fgr_retriever.text.sentences import sentences
from tests.text.sentence_borders import judged

FILES = list(judged())
MOST_WRONG = 0.02  # share of all borders


def test_few_borders_are_wrong():
    wrong = [place for one in FILES for place in one.wrong]
    assert len(wrong) <= MOST_WRONG * sum(one.borders for one in FILES), wrong


def test_the_set_is_large():
    assert sum(one.borders for one in FILES) >= 400
    assert len({one.language for one in FILES}) == 6
    assert len({one.genre for one in FILES}) == 5


def test_the_judge_sees_missed_and_invented_borders(tmp_path, monkeypatch):
    (tmp_path / "made.en.txt").write_text("He left. She stayed.\nThey\nmet.\n")
    monkeypatch.setattr("tests.text.sentence_borders.FOLDER", tmp_path)
    (one,) = judged()
    assert (one.borders, len(one.wrong)) == (2, 2)


@pytest.mark.parametrize(
    "whole",
    [
        "See para. 12 of the Act.",
        "It carries max. 20 kg of sand.",
        "Rn. 14 gilt.",
        "Im 2. Stock wohnt er.",
        "Er kam am 3. Oktober an.",
        "Gilt z. B. nach Art. 5 der Satzung.",
        "Le chap. 3 décrit la pompe.",
        "Use the xyz. 5 of the set.",
    ],
)
def test_a_word_before_a_number_may_be_an_abbreviation(whole):
    assert [whole[start:end] for start, end in sentences(whole)] == [whole]


@pytest.mark.parametrize(
    "text",
    [
        "He came by car. 12 people saw it.",
        "My son is 7. He likes cake.",
        "Ich komme um 5. Bring Brot mit.",
        "It costs a dollar. 20 of them are gone.",
    ],
)
def test_a_number_may_begin_a_sentence(text):
    assert len(sentences(text)) == 2
