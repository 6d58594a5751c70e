"""Of sentences and items side by side, a small budget keeps the one that names what the question asks about."""

import numpy as np
import pytest

from fgr_retriever import Encoder, Trimmer
from fgr_retriever.text.parts import words_in
from fgr_retriever.text.query_words import content_stems
from fgr_retriever.text.units import as_ranges
from fgr_retriever.trim.word_evidence import weights_of_units

PRICES = {"Espresso": "2.40", "Cappuccino": "3.60", "Flat white": "3.90", "Batch brew": "3.20", "Oat milk": "0.50"}
FORMS = {
    "items": "- {}: {} euros\n",
    "numbered items": "3. {}: {} euros\n",
    "bold items": "- **{}** – {} euros\n",  # noqa: RUF001
    "keys": "{}: {} euros\n",
    "sentences": "{} costs {} euros. ",
}


@pytest.fixture(scope="module")
def trimmer():
    return Trimmer(Encoder.default(device="cpu"), count_tokens=lambda text: len(text.split()))


@pytest.mark.parametrize("form", FORMS)
def test_most_prices_are_found_in_a_list_of_them(trimmer, form):
    text = "".join(FORMS[form].format(*one) for one in PRICES.items())
    kept = [trimmer.trim(f"What does {name.lower()} cost?", [text], max_tokens=6)[0].text for name in PRICES]
    # The model decides, too: a short item has little evidence beside longer ones.
    assert sum(price in one for price, one in zip(PRICES.values(), kept, strict=True)) >= 3, kept


def test_a_rota_names_who_does_what(trimmer):
    text = (
        "- 08:00 to 12:00: principal keeper, writes the log\n- 12:00 to 16:00: first assistant, paints and cleans\n"
        "- 16:00 to 20:00: second assistant, winds the clockwork\n- 20:00 to 04:00: principal keeper in turn\n"
    )
    (kept,) = trimmer.trim("Who winds the clockwork?", [text], max_tokens=10)
    assert kept.text == "- 16:00 to 20:00: second assistant, winds the clockwork"


def test_units_weigh_by_words_of_the_question_that_others_have_not():
    text = "Flat white costs 3.90. Tea costs 2. Milk costs nothing."
    units = as_ranges([(0, 22), (23, 35), (36, 55)])
    asked = content_stems("What does flat white cost?")
    np.testing.assert_allclose(weights_of_units(text, units, asked), [1.5, 1, 1])  # two words more, 0.25 each
    assert weights_of_units(text, units[:0], asked).shape == (0,)
    np.testing.assert_allclose(weights_of_units(text, units, frozenset()), [1, 1, 1])


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("It steeps for 12 to 24 hours.", "12 to 24 hours"),
        ("It takes 60–65 degrees.", "60–65 degrees"),  # noqa: RUF001
        ("Prices rose by 2.2 to 2.7 percent.", "2.2 to 2.7 percent"),
        ("The turnover was 1 234 567 euros.", "1 234 567 euros"),
        ("Clean it with 3 g of powder.", "3 g"),
        ("It holds 1,250 litres.", "1,250 litres"),
    ],
)
def test_numbers_and_ranges_stay_with_their_units(text, whole):
    assert whole in [text[start:end] for start, end in words_in(text, 0, len(text))]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("In 1725 250,000 people came.", ["1725", "250,000 people"]),
        ("Take 3 a day.", ["3", "a"]),
        ("In 1906 in May.", ["1906", "in"]),
        ("Rows 555 12345 567 of it.", ["555", "12345"]),
        ("See item1 item2 to item3 here.", ["item1", "item2", "to", "item3"]),
    ],
)
def test_numbers_without_a_unit_stand_alone(text, parts):
    found = [text[start:end] for start, end in words_in(text, 0, len(text))]
    assert all(part in found for part in parts), found


@pytest.mark.parametrize(
    "text",
    [
        "The tank holds 1,250 litres.\nThe boiler holds 2,750 litres.\nThe sink holds 1,100 litres.",
        "Coffee costs 3,50 €.\nThe boiler costs 2,75 €.\nCake costs 4,20 €.",
    ],
)
def test_a_comma_within_a_number_separates_no_cells(trimmer, text):
    number = "2,750 litres" if "litres" in text else "2,75"
    for budget in range(1, 12):
        (kept,) = trimmer.trim("How much does the boiler hold or cost?", [text], max_tokens=budget)
        digits = [word for word in kept.text.replace("€", "").split() if any(map(str.isdigit, word))]
        assert all(word.strip(".") in text.split() or word in text.split() for word in digits), kept.text
        assert budget < 5 or number in kept.text
