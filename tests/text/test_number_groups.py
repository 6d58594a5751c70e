"""A number that is written in groups is cut nowhere; numbers that only stand side by side are not joined."""

import pytest

from fgr_retriever import Encoder, Trimmer
from fgr_retriever.text.atoms import snap_to_atoms
from fgr_retriever.text.groups import number_groups
from fgr_retriever.text.parts import words_in
from fgr_retriever.text.sentences import phrases

NUMBERS = (
    "DE89 3704 0044 0532 0130 00",
    "GB29 NWBK 6016 1331 9268 19",
    "FR14 2004 1010 0505 0001 3M02 606",
    "+47 22 85 50 50",
    "+49 (0)40 555-0199",
    "(+49) 40 555 0199",
    "(555) 123-4567",
    "(040) 42 86 30",
    "040 / 428 63-2",
    "040 - 428 63 2",
    "0800 123 4567",
    "555 0199",
    "01 23 45 67 89",
    "123 456 789",
    "DE 811 569 869",
    "4111 1111 1111 1111",
    "A1B2 C3D4 E5F6",
    "22\u00a085\u00a050\u00a050",
)
LISTS = (
    "1, 2, 3",
    "1 2 3 4 5 6 7 8",
    "in 2019 2020 people came",
    "2018 2019 2020 2021",
    "10 20 30 40 50",
    "75000 60000 62000 58000",
    "1.5 2.5 3.5 4.5",
    "2024-05-06 2024-05-07 2024-05-08",
    "01/02/2024 02/02/2024 03/02/2024",
    "Q1 2019 Q2 2020 Q3 2021",
    "1 1/2 cups",
    "40 % 50 % 60 % 70 %",
    "1,250 3,500 7,000",
    "12\t345\t678\t901",
    "12 345\n678 901",
    "In 1725 250,000 people",
    "12 45 67 88 " * 20,
)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("text", ["Take {} for it.", "{}", "As said ({}), it is so.", "Numbers: {}, and others."])
def test_a_number_in_groups_is_one_atom(text, number):
    text = text.format(number)
    start, end = text.index(number), text.index(number) + len(number)
    for inner in range(start, end):
        low, high = snap_to_atoms(text, inner, inner + 1)
        assert low <= start < end <= high, text[low:high]
    assert any(low <= start < end <= high for low, high in words_in(text, 0, len(text)))


@pytest.mark.parametrize("text", LISTS)
def test_a_list_of_numbers_is_no_atom(text):
    assert number_groups(text, 0, len(text)) == []


def test_no_phrase_ends_within_a_number_but_in_a_range():
    for text, parted in (("The desk is reached at 040 - 428 63 2 all day.", 1), ("It has 300 - 400 people in it.", 2)):
        assert len(phrases(text, 0, len(text))) == parted


@pytest.mark.parametrize("number", NUMBERS)
def test_a_budget_keeps_a_number_whole_or_not_at_all(number):
    trimmer = Trimmer(Encoder.default(device="cpu"), count_tokens=lambda text: len(text.split()))
    text = f"Invoices are sent on Mondays and the number that you need for them is {number} as you can see."
    kept = [trimmer.trim("What is the number?", [text], max_tokens=budget)[0].text for budget in range(1, 24)]
    for one in kept:
        rest = one.replace(number, "")
        assert not any(map(str.isdigit, rest)), one
    assert any(number in one for one in kept)
