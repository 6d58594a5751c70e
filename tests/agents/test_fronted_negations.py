"""A negation that stands before its clause, as an adverb or as "neither", counts like one beside the verb."""

import pytest

from fgr_retriever.agents.statement import Statement
from tests.agents.judging import judged

FINES = (
    "Hotel nights are paid up to EUR 145. Under no circumstances will the company reimburse alcohol or parking fines."
)
SAFE = "At no time does the insurance pay more than EUR 10,000 for jewellery."
ROPES = "Neither cut ropes nor opened paint can be returned within 14 days."


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "no", "yes"),
    [
        (FINES, "The company will reimburse alcohol", "The company will not reimburse alcohol"),
        (FINES, "The company reimburses parking fines", "The company does not reimburse parking fines"),
        (
            SAFE,
            "The insurance pays more than EUR 10,000 for jewellery",
            "The insurance never pays more than EUR 10,000",
        ),
        (
            "In no case may the valve be opened by hand.",
            "The valve may be opened by hand",
            "Do not open the valve by hand",
        ),
        ("By no means is the deposit refundable.", "The deposit is refundable", "The deposit is not refundable"),
        (
            "On no account should staff share passwords.",
            "Staff should share passwords",
            "Staff should not share passwords",
        ),
        (ROPES, "Cut ropes can be returned within 14 days", "Cut ropes cannot be returned within 14 days"),
    ],
)
def test_what_is_denied_is_no_support_for_its_contrary(text, no, yes):
    assert judged(no, text)[0] is False
    assert judged(yes, text)[0] is True


def test_neither_with_nor_is_one_negation():
    assert len(Statement(ROPES).negations) == 1
    assert len(Statement("He did not come, nor did she.").negations) == 2


def test_no_in_front_of_other_words_negates_these():
    assert Statement("At no time may it run.").negates_any(1, ["run"])
    assert not Statement("It has no pump.").negates_any(2, ["run"])
