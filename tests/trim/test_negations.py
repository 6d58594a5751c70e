# ruff: noqa: RUF001 (the typographic apostrophe is meant)
"""A piece of a sentence never says the opposite of the sentence because a negation beside it was cut off."""

from itertools import pairwise

import pytest
import regex

from fgr_retriever import Encoder, Trimmer
from fgr_retriever.text.parts import words_in
from fgr_retriever.text.units import as_ranges
from fgr_retriever.trim.negations import Edges
from tests.trim.test_scraps import kept

# Each text with a stretch that a piece may hold or leave out, but not cut.
TEXTS = (
    ("In the whole house breakfast is reimbursed, the minibar is not.", "minibar is not"),
    ("The penalty is 0.5 % of the order value, but not more than 5 % of it.", "but not more than 5 %"),
    (
        "As a rule the yearly report on all sales is not confidential in this firm.",
        "sales is not confidential",
    ),
    ("Members of the crew on the bridge must never smoke during the watch.", "must never smoke"),
    ("The old pump in the yard doesn't need any oil in the winter months.", "doesn't need"),
    ("Guests of the small hotel can’t park in the narrow yard at night.", "can’t park"),
    ("There is no charge for children in the museum on the first Sunday.", "no charge"),
    ("The shop in the harbour opens daily except on Sundays in the winter.", "except on Sundays"),
    ("Die Minibar im Zimmer wird nicht erstattet, das Frühstück schon.", "wird nicht erstattet"),
    ("Le petit déjeuner de l'hôtel n'est pas remboursé par notre maison.", "est pas remboursé"),
)


@pytest.mark.parametrize(("text", "whole"), TEXTS)
@pytest.mark.parametrize("question", ["What is it?", "What about the minibar, the report and the watch?"])
def test_a_piece_holds_a_negation_with_what_it_negates_or_neither(text, whole, question):
    start, end = text.index(whole), text.index(whole) + len(whole)
    words = [word.group() for word in regex.finditer(r"\p{L}{3,}", text)]
    for likely in words:  # wherever the evidence is
        for limit in range(1, len(text.split()) + 1):
            for piece in kept(question, text, (likely,), limit):
                first = text.index(piece)
                assert not start < first < end, piece
                assert not start < first + len(piece) < end, piece


def test_the_embedded_model_keeps_no_half_of_a_negation():
    text = "A hotel may cost up to 95 EUR elsewhere. Breakfast is reimbursed, the minibar is not. Keep all receipts."
    trimmer = Trimmer(Encoder.default(device="cpu"), count_tokens=lambda text: len(text.split()))
    for limit in range(1, 21):
        (found,) = trimmer.trim("Which extras at hotels are reimbursed?", [text], max_tokens=limit)
        assert "minibar" not in found.text or "minibar is not" in found.text


def joined(text):
    """List what stays together, of more than one word."""
    words = as_ranges(list(words_in(text, 0, len(text))))
    edges = Edges.of(text, words).end.nonzero()[0].tolist()
    pairs = [(low, high) for low, high in pairwise(edges) if high - low > 1]
    return [text[words[low, 0] : words[high - 1, 1]] for low, high in pairs]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Keep it dry. Not all of it is sealed.", ["Not all of it is sealed"]),
        ("keep the lid\n- not the box", ["- not the box"]),
        ("the lid is\nnot shut", ["the lid is\nnot shut"]),
        ("Sunday\nNo service", ["No service"]),
        ("All of it fits, and notes are kept.", []),
    ],
)
def test_a_negation_reaches_to_the_next_words_of_its_sentence(text, found):
    assert joined(text) == found


DENIED = (
    "Nobody without a yellow badge may enter the engine room between 22:00 and 05:00.",
    "Under no circumstances will the company reimburse alcohol, tobacco or parking fines above EUR 20.",
    "Neither cut ropes nor opened paint can be returned within 14 days of delivery.",
    "Contractors do not receive the 26 weeks of paid leave that employees receive.",
    "Never reboot the gateway in the office between 06:00 and 18:00 on any day.",
    "- Never reboot the gateway in the office between 06:00 and 18:00 on any day",
    "Kein Besucher ohne gelben Ausweis darf den Maschinenraum zwischen 22 und 5 Uhr betreten.",
)


@pytest.mark.parametrize("text", DENIED)
def test_a_piece_does_not_begin_behind_its_negation(text):
    """Whatever the evidence and the budget."""
    for likely in (word.group() for word in regex.finditer(r"\p{L}{3,}|\p{N}+", text)):
        for limit in range(1, len(text.split()) + 1):
            for piece in kept("What is it?", text, (likely,), limit):
                denied = regex.search("(?i)no |nobody|neither|not|never|kein", text)
                assert denied is not None
                assert text.index(piece) <= denied.start(), piece


def test_a_piece_may_begin_at_a_phrase_border_behind_a_negation():
    text = "Nobody may smoke in the old building, and the guard will ask you to leave at once."
    assert kept("What is it?", text, ("guard", "ask", "leave"), 9) == ["the guard will ask you to leave at once"]


def test_a_whole_negation_is_kept_where_no_shorter_run_is_allowed():
    text = "Contractors do not receive it."
    assert kept("What is it?", text, ("receive",), 4) == ["Contractors do not receive"]


def test_no_piece_begins_with_a_mark_of_the_word_before_it():
    text = "The rates rise on three months' written notice to all customers of the northern depot."
    for limit in range(1, 8):
        for piece in kept("What is it?", text, ("written", "notice"), limit):
            assert piece[0].isalnum(), piece


def test_a_short_value_keeps_the_key_of_its_line():
    text = "month: 2026-08\nEUR_DKK: 7.460\nEUR_PLN: 4.271"
    words = [text[start:end] for start, end in words_in(text, 0, len(text))]
    assert words == ["month: 2026-08", "EUR_DKK: 7.460", "EUR_PLN: 4.271"]


def test_a_number_has_no_exception_for_a_unit():
    text = "The party pays EUR 75,000, except a court says no."
    assert "75,000, except" not in [text[start:end] for start, end in words_in(text, 0, len(text))]
