"""Lines that say something of what stands before their colon are records, however long the label is."""

import pytest

from fgr_retriever.text.sentences import phrases, segments


def units(text):
    return [text[one.start : one.end] for one in segments(text)]


@pytest.mark.parametrize(
    "lines",
    [
        ("Key card, lost or broken: 25 EUR", "Radio, lost or broken: 340 EUR"),
        ("Priority 1, plant stopped: answer in 30 minutes", "Priority 2, plant limited: answer in 4 hours"),
        ("Employees with two to five years of service: 8 weeks", "Employees with more than five years: 3 months"),
        ("More than 1,000 pallets on average: 11 %", "Contract of 24 months or more: another 3 %"),
        ("E14: Battery below 15 %. Charge for 3 hours.", "E27: Oil too hot. Stop, wait, check the fan."),
        ("Version 2.5, all editions: free", "Version 3.0, all editions: 20 EUR"),
    ],
)
def test_a_label_is_not_parted_from_its_value(lines):
    text = "\n".join(lines)
    assert units(text) == list(lines)
    assert [text[slice(*part)] for one in segments(text) for part in phrases(text, *one[:3])] == list(lines)


def test_a_heading_and_a_sentence_beside_them():
    lines = (
        "Notice periods",
        "Staff in their first year, full time: 4 weeks",
        "Managers, all grades: 6 months",
        "Both count from the first of a month.",
    )
    text = "\n".join(lines)
    assert units(text) == [
        "Notice periods\nStaff in their first year, full time: 4 weeks",
        "Managers, all grades: 6 months",
        "Both count from the first of a month.",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "We had one aim: to finish early, and to\nhave time left. It was clear: nobody would\nwait, and it was cold.",
        "They came with one demand, a bold one: that all,\nand they as well, had to leave, at once.",
        "One line, with a label: 25 EUR",
    ],
)
def test_prose_with_colons_stays_prose(text):
    assert all(one.body < one.end for one in segments(text))
