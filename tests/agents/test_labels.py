"""A number that stands in an identifier or a numbering is no amount, and an amount is no identifier."""

import pytest

from fgr_retriever import verify_citations
from fgr_retriever.agents.statement import Statement
from fgr_retriever.errors import InputError
from fgr_retriever.model.encoder import Encoder

ROOM = "Room B-12 may hold 40 people."
LORRY = "The lorry of type LX-30 carries 18 tonnes."
FORM = "Form HR-31 must be handed in 10 weeks before the leave."
NOTICE = "Under section 7 the notice period is six months."
DEPOSIT = (
    "3. The key is handed over on the first day.\n4. The deposit is paid back after 30 days.\n5. Pets are welcome."
)
FIRMWARE = "Version 2.5 of the firmware needs 8 minutes for the update."
PUMP = "The pump P-15 is greased every 40 days by the fitter."
GATE = "Boarding for Oslo starts at gate 14 and takes 25 minutes."
SECTIONS = "Pages 12 to 48 and sections 7, 8 and 9 were revised; the work took 30 days."
PRICES = "Key card: 25 EUR\nRadio: 340 EUR\nLogger: 85 EUR\n"
LOST = PRICES.replace(":", ", lost or broken:")
LEVELS = "Levels\n\nPriority 1, plant stopped: answer in 30 minutes\nPriority 2, plant limited: answer in 4 hours\n"


def judged(sentence, text):
    span = {"passage": "p", "start": 0, "end": len(text), "source_start": None, "source_end": None, "score": 1.0}
    source = {"number": 1, "title": "p", "also_in": [], "passages": [], "spans": [{**span, "text": text}]}
    (citation,) = verify_citations(f"{sentence} [1].", {"sources": [source]}, encoder=Encoder.default())
    return citation.supported, citation.reason


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (ROOM, "Room B-12 may hold 40 people"),
        (ROOM, "Room B12 may hold 40 people"),
        (ROOM, "Room B 12 may hold 40 people"),
        (LORRY, "The LX 30 carries 18 tonnes"),
        (FORM, "Form HR-31 must be handed in 10 weeks before the leave"),
        (NOTICE, "Under section 7 the notice period is six months"),
        (NOTICE, "The notice period is 6 months (§ 7)"),
        (NOTICE, "Section seven sets a notice period of six months"),
        (DEPOSIT, "Under point 4 the deposit is paid back after 30 days"),
        (DEPOSIT, "1. The deposit is paid back after 30 days"),
        (FIRMWARE, "The firmware 2.5 needs 8 minutes for the update"),
        (PUMP, "Pump P15 is greased every 40 days"),
        (GATE, "Boarding for Oslo starts at gate 14"),
        (SECTIONS, "Section 8 was revised"),
        ("In FY2025 the firm sold 40 boats.", "In 2025 sales were 40 boats"),
        ("The warehouse has 3 gates and 14 chambers.", "The warehouse has 14 chambers"),
        (PRICES, "A radio costs 340 EUR"),
        (PRICES, "A logger costs 85 EUR"),
        (LOST, "A lost logger costs 85 EUR"),
        (LEVELS, "A priority 2 ticket is answered in 4 hours"),
    ],
)
def test_what_the_source_says_with_its_identifiers_is_supported(text, sentence):
    assert judged(sentence, text) == (True, "")


@pytest.mark.golden
@pytest.mark.parametrize(
    ("text", "sentence", "found"),
    [
        (ROOM, "Room B-12 may hold 12 people", False),
        (ROOM, "Room B-12 may hold 12 chairs", None),  # nothing else is counted in chairs
        (ROOM, "Room B-40 may hold 40 people", False),
        (ROOM, "Room A-12 may hold 40 people", False),
        ("Room 12 may hold 40 people.", "Room 12 may hold 12 people", False),
        (LORRY, "The lorry carries 30 tonnes", False),
        (LORRY, "The lorry of type LX-18 carries 18 tonnes", False),
        (FORM, "The form must be handed in 31 weeks before the leave", False),
        (NOTICE, "The notice period is seven months", False),
        (NOTICE, "Under section 8 the notice period is six months", False),
        (NOTICE, "Under section 6 the notice period is six months", False),
        (DEPOSIT, "The deposit is paid back after 4 days", False),
        (FIRMWARE, "The firmware needs 2.5 minutes for the update", False),
        (PUMP, "The pump P-15 is greased every 15 days by the fitter", False),
        (GATE, "Boarding for Oslo takes 14 minutes", False),
        (GATE, "Boarding for Oslo starts at gate 25", False),
        (SECTIONS, "The work took 48 days", False),
        (SECTIONS, "The work took 8 days", False),
        (PRICES, "A radio costs 25 EUR", False),
        (PRICES, "A logger costs 340 EUR", False),
        (LOST, "A lost radio costs 25 EUR", False),
        (LEVELS, "Priority 2 is answered in 30 minutes", False),
    ],
)
def test_an_amount_is_not_supported_by_an_identifier_nor_the_other_way_round(text, sentence, found):
    assert judged(sentence, text)[0] is found


@pytest.mark.golden
def test_the_reason_says_that_the_number_is_there_as_something_else():
    assert judged("Room B-12 may hold 12 people", ROOM)[1].endswith("and here an amount, or the other way round")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Room 12, page 3 and § 7", [True, True, True]),
        ("gates 4, 5 and 6 open for 7 days", [True, True, True, False]),
        ("GPT-4, CO2 and v2.5", [True, True, True]),
        ("EUR50, USD-50, a top-10 list, AUG-12 and FY2025", [False] * 5),
        ("In the room 12 people sat. Room: 12 people", [False, False]),
        ("Meeting room 40 EUR, table 2 metres", [False, False]),
        ("(4) Pets\n## 7.2. Fees\n4. May", [True, True, False]),
        ("Only 12 people came", [False]),
    ],
)
def test_which_numbers_are_labels(text, labels):
    assert [bool(one.label) for one in Statement(text).quantities] == labels


def test_an_encoder_without_its_name_is_refused_in_our_words():
    with pytest.raises(InputError, match="by name: encoder"):
        verify_citations("It is so [1].", {"sources": []}, Encoder.default())
